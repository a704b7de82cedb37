// Publishes the npm package with its provenance. npm itself exchanges the workflow's identity for a token.
//   files: dist/release/npm/

import { stagePackage } from "./staging.ts";
import { manifest, publish } from "./step.ts";

const folder = stagePackage();
// A version such as 0.2.0-rc.1 must not become what `npm install keyferry` gives.
const tag = manifest().version.includes("-") ? "next" : "latest";
publish("npm", ["publish", folder, "--tag", tag]);
