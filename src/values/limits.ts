/**
 * Maximum bytes of a Secret's data, and of one source.
 * https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size
 */
export const maxBytes = 1_048_576;

/** Maximum nesting of objects and arrays in a document or result. */
export const maxDepth = 100;

/** Maximum characters of a name before rewriting; an SSM name has at most 1,011. */
export const maxNameLength = 2_048;

/** Maximum characters of a JMESPath expression, as in the CRD. */
export const maxExpressionLength = 1_024;

/**
 * Maximum characters of a YAML document: its parser takes some 4 s for a hostile 1 MiB. An SSM parameter has at most
 * 8 KiB.
 */
export const maxYamlLength = 65_536;
