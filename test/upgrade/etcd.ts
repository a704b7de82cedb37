/** Objects written to etcd itself, as a restored backup of it has them: with their uids, managed fields and statuses. */

interface Stored {
  apiVersion: string;
  kind: string;
  metadata: { namespace: string; name: string };
}

const folders: Readonly<Record<string, string>> = {
  Secret: "secrets",
  Lease: "leases",
  SyncedSecret: "keyferry.io/syncedsecrets",
};

/**
 * Puts objects into the etcd behind an API server, by etcd's JSON gateway. The API server's watches show them.
 *
 * @param url etcd's client URL, such as http://127.0.0.1:2379
 */
export async function putIntoEtcd(url: string, objects: readonly Stored[]): Promise<void> {
  for (const object of objects) {
    const { namespace, name } = object.metadata;
    const key = `/registry/${folders[object.kind]!}/${namespace}/${name}`;
    const body = JSON.stringify({ key: base64(key), value: base64(JSON.stringify(object)) });
    const response = await fetch(`${url}/v3/kv/put`, { method: "POST", body });
    if (!response.ok) throw new Error(`etcd refused ${key}: ${response.status} ${await response.text()}`);
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
