// Checks the Terraform module in aws/terraform: its format, and that each name in it is declared. Exits with 1 if not.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { modules, terraformTool } from "./tool.ts";

const root = join(import.meta.dirname, "..", "..");
const { status } = spawnSync(await terraformTool(), ["check", ...modules], { cwd: root, stdio: "inherit" });
process.exitCode = status ?? 1;
