// Logs buildah, cosign and Helm in to the registry. cosign reads the file that Docker would write.
//   in: REGISTRY, REGISTRY_USER, REGISTRY_TOKEN
import { homedir } from "node:os";
import { join } from "node:path";
import { helm } from "./helm.ts";
import { publish, required } from "./step.ts";

const [registry, user, token] = ["REGISTRY", "REGISTRY_USER", "REGISTRY_TOKEN"].map(required) as [
  string,
  string,
  string,
];
const account = ["--username", user, "--password-stdin", registry];
publish("buildah", ["login", ...account], token);
publish("buildah", ["login", "--authfile", join(homedir(), ".docker", "config.json"), ...account], token);
publish(await helm(), ["registry", "login", ...account], token);
