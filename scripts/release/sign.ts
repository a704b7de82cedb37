// Signs something in the registry with the workflow's identity, and attests its bill of materials.
//   in: NAME, DIGEST, SBOM (a CycloneDX file; optional)
import { publish, required } from "./step.ts";

const reference = `${required("NAME")}@${required("DIGEST")}`;
publish("cosign", ["sign", "--yes", reference]);
if (process.env.SBOM) {
  publish("cosign", ["attest", "--yes", "--type", "cyclonedx", "--predicate", process.env.SBOM, reference]);
}
