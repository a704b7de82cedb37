/** A logger. Fields are plain data. Secret values are never logged, not even at debug level. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A logger that discards everything. */
export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
