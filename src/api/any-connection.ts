import type { AWSConnection, ClusterAWSConnection } from "./types.ts";

/** A connection of either kind. */
export type AnyConnection = AWSConnection | ClusterAWSConnection;
