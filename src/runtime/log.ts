/** Where lines of the log go. Fields are plain data; values of secrets never get here, not even at debug level. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A log that drops everything. */
export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
