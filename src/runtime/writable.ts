/** A type without `readonly`: for the only module that may write its fields, or for a copy. */
export type Writable<T> = { -readonly [K in keyof T]: T[K] };
