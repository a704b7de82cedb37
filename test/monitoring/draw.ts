// Draws docs/images/dashboard.png from the results that test/e2e/monitoring.test.ts has left in dist/monitoring, in a headless
// Chromium. Without Chromium, or without results, it says so and exits with 0.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { root } from "../../scripts/crds.ts";
import { type PanelData, readAllPanels } from "./dashboard.ts";
import { pageHeight, pageOf, pageWidth } from "./page.ts";
import { compressed } from "./png.ts";
import { onPath } from "./prometheus.ts";

const results = join(root, "dist/monitoring/dashboard.json");
const picture = "docs/images/dashboard.png";
const chromium = onPath("chromium") ?? onPath("chromium-browser") ?? onPath("google-chrome");

if (!chromium) console.log("the dashboard's picture is skipped: chromium is not on PATH");
else if (!existsSync(results)) console.log("the dashboard's picture is skipped: make monitoring has left no results");
else await draw(chromium);

async function draw(program: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "keyferry-picture-"));
  try {
    const layout = readAllPanels();
    const data = JSON.parse(await readFile(results, "utf8")) as PanelData[];
    const [page, shot] = [join(folder, "page.html"), join(folder, "page.png")];
    await writeFile(page, pageOf(layout, data));
    await promisify(execFile)(program, [
      ...[
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        `--user-data-dir=${join(folder, "profile")}`,
      ],
      ...[`--window-size=${pageWidth},${pageHeight(layout)}`, `--screenshot=${shot}`, `file://${page}`],
    ]);
    await mkdir(join(root, "docs/images"), { recursive: true });
    await writeFile(join(root, picture), compressed(await readFile(shot)));
    console.log(`${picture}: ${Math.round((await stat(join(root, picture))).size / 1024)} KiB`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
