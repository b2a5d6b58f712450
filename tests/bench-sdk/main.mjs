// Measures the SDK: `cargo xtask bench sdk -- [--only NAME]… [--quick]`. Prints a table, writes target/bench/sdk.json.
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";

import { chromiumRuntime, bundle, page } from "./harness/chromium.mjs";
import { startFront } from "./harness/front.mjs";
import { nodeRuntime } from "./harness/node.mjs";
import { link } from "./harness/package.mjs";
import { progress } from "./harness/progress.mjs";
import { startServer } from "./harness/server.mjs";
import { workerdRuntime } from "./harness/workerd.mjs";
import { median } from "./measure.mjs";
import { figure, table } from "./report.mjs";
import { run as sizes } from "./suites/size.mjs";

const IN_RUNTIME = ["stream", "records", "unseal"];
const SUITES = [...IN_RUNTIME, "cold", "size"];
const RUNTIMES = ["chromium", "node", "workerd"];

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    quick: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const unknown = values.only.filter((name) => ![...SUITES, ...RUNTIMES].includes(name));
if (values.help || unknown.length > 0) {
  console.error(`options: --quick, and --only with any of ${[...SUITES, ...RUNTIMES].join(", ")}`);
  process.exit(values.help ? 0 : 2);
}
const wanted = (list) => (list.some((name) => values.only.includes(name)) ? list.filter((name) => values.only.includes(name)) : list);
const suites = wanted(SUITES);
const runtimes = wanted(RUNTIMES);

const { KEYHAVEN_BIN, KEYHAVEN_NPM_PACKAGE: npm, KEYHAVEN_TARGET } = process.env;
if (!KEYHAVEN_BIN || !npm || !KEYHAVEN_TARGET) throw new Error("run `cargo xtask bench sdk`: it builds what this measures");
const results = path.join(KEYHAVEN_TARGET, "bench");
const out = path.join(results, "sdk-page");

const rows = [];
const failures = [];
const open = [];
try {
  await main();
} finally {
  for (const part of open.reverse()) await part.stop();
}
const missed = rows.filter((row) => row.met === false).length;
const aims = rows.filter((row) => row.met !== null).length;
await mkdir(results, { recursive: true });
await writeFile(path.join(results, "sdk.json"), `${JSON.stringify(rows, null, 2)}\n`);
console.log(table(rows));
console.log(`${aims - missed} of ${aims} aims met; ${path.join(results, "sdk.json")}`);
for (const failure of failures) console.error(failure);
if (failures.length > 0) process.exitCode = 1;

async function main() {
  progress("starting");
  await link(npm);
  await bundle(out);
  const server = await startServer(KEYHAVEN_BIN);
  open.push(server);
  const front = await startFront(server, { folders: { sdk: npm, out, cipher: path.join(results, "cipher") }, page: await page(npm) });
  open.push(front);
  const stage = { origin: front.origin, issuer: server.issuer };
  for (const name of runtimes) await inRuntime(name, stage);
  const everywhere = runtimes.length === RUNTIMES.length;
  if (suites.includes("size") && (everywhere || values.only.includes("size"))) rows.push(...(await sizes({ npm })));
  progress();
}

async function inRuntime(name, stage) {
  const runtime = await started(name, stage);
  const tell = (text) => progress(`${name}: ${text}`);
  const measures = Object.fromEntries(
    IN_RUNTIME.map((suite) => [suite, async () => (await runtime.run?.(suite, { quick: values.quick, tell: (text) => tell(`${suite}: ${text}`) })) ?? []]),
  );
  measures.cold = () => coldStarts(runtime, stage, tell);
  try {
    for (const suite of Object.keys(measures).filter((suite) => suites.includes(suite))) {
      await measures[suite]().then((more) => rows.push(...more), (error) => failed(`${name}, ${suite}`, error));
    }
  } finally {
    await runtime.close();
  }
}

// What fails is told, and the rest is still measured.
function failed(what, error) {
  progress();
  failures.push(`${what} failed: ${error.stack}`);
}

function started(name, stage) {
  const served = (folder) => `${stage.origin}/${folder}`;
  const onDisk = (folder) => new URL(`file://${path.resolve(folder)}`).href;
  if (name === "chromium") return chromiumRuntime({ stage: { ...stage, sdk: served("sdk"), cipher: served("cipher") } });
  if (name === "node") return nodeRuntime({ stage: { ...stage, sdk: onDisk(npm), cipher: onDisk(path.join(results, "cipher")) } });
  return workerdRuntime({ stage, npm, folder: path.join(results, "sdk-workerd") });
}

// Chromium's aim is about all of it; workerd's is about what is left when the network's part is taken off.
async function coldStarts(runtime, stage, tell) {
  const message = await sealedMessage(stage);
  const samples = [];
  const rounds = values.quick ? 3 : 9;
  // The first enrols the device where there is storage, and warms the disk's cache.
  for (let round = 0; round <= rounds; round += 1) {
    tell(`cold start ${round} of ${rounds}`);
    const sample = await runtime.coldStart(message, tell);
    if (round > 0) samples.push({ ...sample, own: sample.total - sample.network });
  }
  const aims = { chromium: { total: ["<=", 50] }, workerd: { own: ["<=", 15] } }[runtime.name] ?? {};
  const names = { total: "cold start", own: "cold start beyond network", import: "of it: import", connect: "of it: connect", decrypt: "of it: first decrypt", network: "of it: network" };
  return Object.entries(names).map(([part, name]) =>
    figure({ name, runtime: runtime.name, unit: "ms", ours: median(samples.map((sample) => sample[part])), aim: aims[part] }));
}

async function sealedMessage(stage) {
  const { connected, sealing } = await import("./subjects/keyhaven.mjs");
  const client = await connected(stage);
  try {
    return await client.encrypt(new TextEncoder().encode("the first byte"), sealing);
  } finally {
    await client.close();
  }
}
