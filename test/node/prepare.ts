import { NodeCluster } from "./node.ts";
import { install, whyNoNode } from "./requirements.ts";

// Installs and builds what a node needs, and starts one. Prints why there can be none, and nothing if there can be.

/** Milliseconds for a node to become ready, with the builds. */
const withinMs = 900_000;

/** Why no node becomes ready here: some machines allow namespaces, and no container in them. */
async function tryNode(): Promise<string | undefined> {
  try {
    const node = await NodeCluster.start({ crds: "crds" });
    await node.stop();
    return undefined;
  } catch (error) {
    return `a node does not become ready: ${String((error as Error).message).split("\n", 1)[0]}`;
  }
}

function end(why: string | undefined): never {
  if (why) console.error(`No node: ${why}.`);
  process.stdout.write(why ?? "");
  process.exit(0);
}

setTimeout(() => end("no node became ready in time"), withinMs);
end((await install()) ?? (await whyNoNode()) ?? (await tryNode()));
