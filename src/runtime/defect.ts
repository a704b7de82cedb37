import { createHash } from "node:crypto";
import { Failure } from "./failure.ts";

/** What may be said of an error that nobody expected: its message may quote a value, its name and its places do not. */
export interface Defect {
  /** The error's name: `TypeError`. */
  error: string;
  /** Equal for errors of one name that arose in one place, in every process of one release. */
  id: string;
  /** Where it arose, innermost first: `keyferry.js:325:10758`. */
  places: string[];
}

/** Places that are told, and those that make the id: what called them differs from one lane to another. */
const placesTold = 8;
const placesOfId = 3;

/** Describes an error without a word of its message. */
export function defectOf(error: unknown): Defect {
  if (!(error instanceof Error)) return defect(typeof error, []);
  const name = /^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(error.name) ? error.name : "Error";
  return defect(name, placesOf(error).slice(0, placesTold));
}

/** What a condition says of a defect. Tried again with backoff; what is there stays. */
export function internalError({ error, id }: Defect): Failure {
  const message = `the operator itself failed on this resource (${error}, id ${id}), and leaves the last good state as it is: report it with the line of the operator's log that has this id`;
  return new Failure("InternalError", "refused", message);
}

function defect(error: string, places: string[]): Defect {
  const hash = createHash("sha256").update(JSON.stringify([error, ...places.slice(0, placesOfId)]));
  return { error, id: hash.digest("hex").slice(0, 8), places };
}

/** File, line and column of each frame. A message can have lines that look like frames, so it is taken off first. */
function placesOf({ stack = "", message }: Error): string[] {
  const at = stack.indexOf(message);
  const frames = at < 0 ? "" : stack.slice(at + message.length);
  const places: string[] = [];
  for (const line of frames.split("\n")) {
    const place = /^ {4}at (?:.*[(/])?([\w.-]+\.[cm]?[jt]s|node:[\w/]+):([0-9]+):([0-9]+)\)?$/.exec(line);
    if (place) places.push(`${place[1]}:${place[2]}:${place[3]}`);
  }
  return places;
}
