/** The part of an object's metadata that is read of our own kinds (meta/v1 ObjectMeta), as JSON. */
export interface ObjectMeta {
  name?: string;
  /** Absent for kinds that belong to no namespace. */
  namespace?: string;
  uid?: string;
  /** Opaque: only equality means something. */
  resourceVersion?: string;
  /** Counts changes of the spec. */
  generation?: number;
  /** RFC 3339. */
  creationTimestamp?: string;
  /** RFC 3339; there while the object waits for its deletion. */
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}
