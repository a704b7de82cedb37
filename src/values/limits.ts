/**
 * Bytes that a Secret's data may have, and one source of it.
 * https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size
 */
export const maxBytes = 1_048_576;

/** Levels of objects and arrays inside each other that a document or a result may have. */
export const maxDepth = 100;

/** Characters of a name before it is rewritten; an SSM name has 1,011 at most. */
export const maxNameLength = 2_048;

/** Characters of a JMESPath expression, as in the CRD. */
export const maxExpressionLength = 1_024;

/** Characters of a YAML document: its parser takes some 4 s for a hostile 1 MiB, and an SSM parameter has 8 KiB at most. */
export const maxYamlLength = 65_536;
