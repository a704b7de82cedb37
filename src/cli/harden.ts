import { endAtOnce, stopSignals } from "./stop-signals.ts";

/** Process hardening that applies however the program is started. Must be imported first. */

// By default Node opens its inspector on SIGUSR1, which exposes the whole memory to anyone who reaches the port. A
// listener replaces that default. The image also sets --disable-sigusr1, which applies from the first moment.
if (process.platform !== "win32") process.on("SIGUSR1", () => {});

// Without a handler, a signal ends the operator with a failure code; as a container's first process it would not end at
// all. Nothing can be interrupted yet: runController installs its own handlers before any work begins.
if (process.argv[2] === "controller") for (const signal of stopSignals) process.on(signal, endAtOnce);

// This accessor lets an assignment to an untrusted key change an object's prototype, or that of all objects.
Reflect.deleteProperty(Object.prototype, "__proto__");
