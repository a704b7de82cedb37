import { endAtOnce, stopSignals } from "./stop-signals.ts";

/**
 * Settings that keep others out of the process, so that they hold however it is started. Loaded before anything else.
 */

// By default Node opens its inspector on SIGUSR1, through which whoever reaches the port reads the whole memory. A listener
// takes the place of that. The image says --disable-sigusr1 too, which holds from the first moment on.
if (process.platform !== "win32") process.on("SIGUSR1", () => {});

// A signal that nobody listens to ends the operator as a failure and, where it is a container's first process, not at all.
// There is nothing yet that a stop could cut off: runController takes over before there is.
if (process.argv[2] === "controller") for (const signal of stopSignals) process.on(signal, endAtOnce);

// The accessor by which an assignment to an untrusted key could change an object's prototype, or every object's.
Reflect.deleteProperty(Object.prototype, "__proto__");
