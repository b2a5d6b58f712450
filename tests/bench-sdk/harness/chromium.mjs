// Chromium: each suite in a new page. The package is served as it is published; what it is compared with is bundled.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";

import { entry } from "./package.mjs";

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const SUITES = ["stream", "records", "unseal"];

/** Bundles the suites for pages into a folder. */
export async function bundle(folder) {
  const here = new URL("..", import.meta.url);
  await build({
    entryPoints: [...SUITES.map((name) => `suites/${name}.mjs`), "suites/cold.mjs", "subjects/connection.mjs"],
    absWorkingDir: path.resolve(here.pathname),
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    inject: ["subjects/buffer.mjs"],
    define: { global: "globalThis" },
    external: ["@keyhaven/sdk", "node:*"],
    logLevel: "error",
  });
}

/** The page: it knows where the package is, and nothing else. */
export async function page(npm) {
  const sdk = (await entry(npm, ["browser"])).replace(/^\.\//, "/sdk/");
  const imports = JSON.stringify({ imports: { "@keyhaven/sdk": sdk } });
  return `<!doctype html><meta charset="utf-8"><title>bench</title><link rel="icon" href="data:,"><script type="importmap">${imports}</script>`;
}

/** Starts the browser; gives the function that runs a suite, or takes one cold start. */
export async function chromiumRuntime({ stage }) {
  const profile = await mkdtemp(path.join(tmpdir(), "keyhaven-bench-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.KEYHAVEN_CHROMIUM ?? "/usr/bin/chromium",
    args: ARGS,
  });
  context.setDefaultTimeout(0);
  const inPage = async (tell, job, argument) => {
    const page = await context.newPage();
    page.on("pageerror", (error) => tell(String(error)));
    await page.exposeFunction("tell", tell);
    await page.goto(stage.origin);
    try {
      return await page.evaluate(job, argument);
    } finally {
      await page.close();
    }
  };
  return {
    name: "chromium",
    run: (suite, { quick, tell }) => inPage(tell, runSuite, { suite, quick, stage: { ...stage, runtime: "chromium" } }),
    coldStart: (message, tell) => inPage(tell, runColdStart, { stage, message: [...message] }),
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

async function runSuite({ suite, quick, stage }) {
  const { run } = await import(`/out/suites/${suite}.js`);
  return run({ stage, quick, tell: (text) => void globalThis.tell(text) });
}

async function runColdStart({ stage, message }) {
  const { coldStart } = await import("/out/suites/cold.js");
  const { connection, opening } = await import("/out/subjects/connection.js");
  return coldStart({
    load: () => import("@keyhaven/sdk"),
    clock: () => performance.now(),
    connection: connection(stage),
    message: Uint8Array.from(message),
    options: opening,
  });
}
