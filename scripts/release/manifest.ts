// Makes one image of those of both architectures, which are in the registry.
//   in: REGISTRY, GITHUB_REPOSITORY    out: name, digest
import { imageName, isLocal, manifest, output, publish, pushed, storage } from "./step.ts";

const tagged = `${imageName()}:${manifest().version}`;
const plain = isLocal() ? ["--tls-verify=false"] : [];
publish("buildah", [...storage, "manifest", "create", tagged]);
for (const architecture of ["amd64", "arm64"]) {
  publish("buildah", [...storage, "manifest", "add", ...plain, tagged, `docker://${tagged}-${architecture}`]);
}
output("name", imageName());
output("digest", pushed(["manifest", "push", "--all"], tagged));
