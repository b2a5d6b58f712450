// What a page downloads, compressed as servers do.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";

import { entry } from "../harness/package.mjs";
import { figure } from "../report.mjs";

const AIM_KIB = 80;

/** Sizes of the package in `npm`: the Wasm module with its bindings, to which the aim applies, and all that is loaded. */
export async function run({ npm }) {
  const { wasm, glue, surface } = await partsOf(npm);
  const row = (name, parts, aim) => {
    const sum = (pick) => parts.reduce((total, part) => total + part[pick], 0);
    return figure({ name, runtime: "browser", bytes: sum("bytes"), unit: "KiB", ours: sum("brotli") / 1024, aim });
  };
  return [
    row("Wasm module with its bindings, brotli", [wasm, glue], ["<=", AIM_KIB]),
    row("of it: the module", [wasm]),
    row("of it: the bindings", [glue]),
    row("TypeScript surface, brotli", [surface]),
    row("the whole package, brotli", [wasm, glue, surface]),
    row("all JavaScript minified in one file, brotli", [await minified(npm)]),
  ];
}

// Every file that the entry point for browsers loads, each for itself as a page without a bundler gets it.
async function partsOf(npm) {
  const { metafile } = await bundled(npm);
  const files = Object.keys(metafile.inputs).map((file) => path.resolve(npm, file));
  const isGlue = (file) => path.basename(path.dirname(file)) === "wasm";
  const [wasm, glue, surface] = await Promise.all([
    part((await wasmModules(npm)).map((file) => path.join(npm, file))),
    part(files.filter(isGlue)),
    part(files.filter((file) => !isGlue(file))),
  ]);
  return { wasm, glue, surface };
}

async function part(files) {
  const contents = await Promise.all(files.map((file) => readFile(file)));
  return contents.reduce((sum, content) => ({ bytes: sum.bytes + content.length, brotli: sum.brotli + brotli(content) }), { bytes: 0, brotli: 0 });
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
