import { createHash } from "node:crypto";
import { Failure } from "./failure.ts";

/** The publishable part of an unexpected error: its name and stack frames. Its message may quote a value. */
export interface Defect {
  /** The error's name: `TypeError`. */
  error: string;
  /** The same for errors with the same name and origin, in every process of one release. */
  id: string;
  /** The stack frames, innermost first: `keyferry.js:325:10758`. */
  places: string[];
}

/** Maximum frames, and the frames that make the id: the outer callers differ between lanes. */
const maxPlaces = 8;
const idPlaces = 3;

/** Describes an error without its message. */
export function defectOf(error: unknown): Defect {
  if (!(error instanceof Error)) return defect(typeof error, []);
  const name = /^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(error.name) ? error.name : "Error";
  return defect(name, placesOf(error).slice(0, maxPlaces));
}

/** The failure that a condition shows for a defect. The reconcile is retried with backoff; the Secret is kept. */
export function internalError({ error, id }: Defect): Failure {
  const message = `internal error of the operator (${error}, id ${id}), the last good state is kept: report it with the operator's log line that has this id`;
  return new Failure("InternalError", "refused", message);
}

function defect(error: string, places: string[]): Defect {
  const hash = createHash("sha256").update(JSON.stringify([error, ...places.slice(0, idPlaces)]));
  return { error, id: hash.digest("hex").slice(0, 8), places };
}

/** File, line and column of each frame. The message is removed first, because its lines can look like frames. */
function placesOf({ stack = "", message }: Error): string[] {
  const at = stack.indexOf(message);
  const frames = at < 0 ? "" : stack.slice(at + message.length);
  const places: string[] = [];
  for (const line of frames.split("\n")) {
    const place = /^ {4}at (?:.*[(/])?([\w.-]+\.[cm]?[jt]s|node:[\w/]+)(?:\?[^:]*)?:([0-9]+):([0-9]+)\)?$/.exec(line);
    if (place) places.push(`${place[1]}:${place[2]}:${place[3]}`);
  }
  return places;
}
