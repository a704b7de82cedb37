import { createHash } from "node:crypto";
import { parametersEach } from "./fleet.ts";

const time = "2026-01-01T00:00:00Z";
const indices = Array.from({ length: parametersEach }, (_, k) => k);
/** Key names differ between applications. */
const keyOf = (i: number, k: number) => `SERVICE_${i % 50}_CREDENTIAL_${k}`;

/** A SyncedSecret of ten parameters that is Ready, as the API server returns it. */
export function syncedSecretText(i: number): string {
  const data = indices.map((k) => ({ key: keyOf(i, k), parameter: { name: nameOf(i, k), format: "Text" } }));
  const status = {
    observedGeneration: 1,
    conditions: [
      {
        type: "Ready",
        status: "True",
        reason: "Synced",
        message: `Secret service-${i} is current`,
        observedGeneration: 1,
        lastTransitionTime: time,
      },
    ],
    secretRef: { name: `service-${i}` },
    revision: revisionOf(i),
    keyCount: parametersEach,
    sources: indices.map((k) => ({ name: nameOf(i, k), version: 1, lastModified: "2026-01-01T00:00:00.000Z" })),
    lastChangeTime: time,
  };
  return JSON.stringify({
    apiVersion: "keyferry.io/v1alpha1",
    kind: "SyncedSecret",
    metadata: {
      ...metadataOf(i, 1),
      generation: 1,
      managedFields: [record("argocd", "keyferry.io/v1alpha1", { "f:spec": { "f:data": {} } })],
    },
    spec: { data },
    status,
  });
}

/** The metadata of its Secret, as a metadata watch returns it. */
export function secretText(i: number): string {
  const owner = { apiVersion: "keyferry.io/v1alpha1", kind: "SyncedSecret", name: `service-${i}`, uid: uidOf(i, 1) };
  const fields = {
    "f:data": Object.fromEntries(indices.map((k) => [`f:${keyOf(i, k)}`, {}])),
    "f:metadata": {
      "f:annotations": { "f:keyferry.io/key-digest": {}, "f:keyferry.io/revision": {} },
      "f:labels": { "f:keyferry.io/synced-secret": {} },
      "f:ownerReferences": { [`k:{"uid":"${uidOf(i, 1)}"}`]: {} },
    },
    "f:type": {},
  };
  return JSON.stringify({
    apiVersion: "meta.k8s.io/v1",
    kind: "PartialObjectMetadata",
    metadata: {
      ...metadataOf(i, 2),
      labels: { "keyferry.io/synced-secret": "true" },
      annotations: { "keyferry.io/key-digest": digest(`keys ${i % 50}`), "keyferry.io/revision": revisionOf(i) },
      ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }],
      managedFields: [record("keyferry", "v1", fields)],
    },
  });
}

function metadataOf(i: number, salt: number) {
  const namespace = `team-${Math.floor(i / 500)}`;
  const resourceVersion = String(1_000_000 + 2 * i + salt);
  return { name: `service-${i}`, namespace, uid: uidOf(i, salt), resourceVersion, creationTimestamp: time };
}

function record(manager: string, apiVersion: string, fieldsV1: object): object {
  return { manager, operation: "Apply", apiVersion, time, fieldsType: "FieldsV1", fieldsV1 };
}

function nameOf(i: number, k: number): string {
  return `/shop/service-${i}/credential-${k}`;
}

function uidOf(i: number, salt: number): string {
  return digest(`${i} ${salt}`).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function revisionOf(i: number): string {
  return `1.${digest(`spec ${i}`)}.${digest(`sources ${i}`)}`;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
