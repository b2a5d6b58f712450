// What a page downloads, compressed as servers do.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";

import { entry } from "../harness/package.mjs";
import { figure } from "../report.mjs";

const AIM_KIB = 80;

/** Sizes of the package in `npm`: in all, and part by part. */
export async function run({ npm }) {
  const parts = await partsOf(npm);
  const sum = (pick) => parts.reduce((total, part) => total + pick(part), 0);
  const row = (name, part, aim) => figure({ name, runtime: "browser", bytes: part.bytes, unit: "KiB", ours: part.brotli / 1024, aim });
  return [
    row("package, brotli", { bytes: sum((part) => part.bytes), brotli: sum((part) => part.brotli) }, ["<=", AIM_KIB]),
    ...parts.map((part) => row(`of it: ${part.name}`, part)),
    row("JavaScript minified in one file, brotli", await minified(npm)),
  ];
}

// Every file that the entry point for browsers loads, each for itself as a page without a bundler gets it.
async function partsOf(npm) {
  const { metafile } = await bundled(npm);
  const files = Object.keys(metafile.inputs).map((file) => path.resolve(npm, file));
  const isGlue = (file) => path.basename(path.dirname(file)) === "wasm";
  const wasm = (await wasmModules(npm)).map((file) => path.join(npm, file));
  return Promise.all([
    part("Wasm module", wasm),
    part("its JavaScript bindings", files.filter(isGlue)),
    part("TypeScript surface", files.filter((file) => !isGlue(file))),
  ]);
}

async function part(name, files) {
  const contents = await Promise.all(files.map((file) => readFile(file)));
  return contents.reduce(
    (sum, content) => ({ name, bytes: sum.bytes + content.length, brotli: sum.brotli + brotli(content) }),
    { name, bytes: 0, brotli: 0 },
  );
}

async function minified(npm) {
  const { outputFiles } = await bundled(npm, { minify: true });
  const content = outputFiles[0].contents;
  return { bytes: content.length, brotli: brotli(content) };
}

async function bundled(npm, options = {}) {
  const start = path.join(npm, await entry(npm, ["browser"]));
  return build({ entryPoints: [start], absWorkingDir: npm, bundle: true, format: "esm", platform: "browser", external: ["*.wasm"], metafile: true, write: false, logLevel: "error", ...options });
}

async function wasmModules(npm) {
  const { exports } = JSON.parse(await readFile(path.join(npm, "package.json"), "utf8"));
  return Object.keys(exports).filter((name) => name.endsWith(".wasm")).map((name) => exports[name]);
}

function brotli(bytes) {
  return brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } }).length;
}
