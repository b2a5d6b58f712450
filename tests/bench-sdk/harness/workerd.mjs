// Cloudflare's runtime: each cold start in a new process. Its clock stands still while a worker computes, so the
// worker asks the front for the time.
import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";
import workerd from "workerd";

import { entry } from "./package.mjs";

const here = path.resolve(new URL("..", import.meta.url).pathname);
const WASM = "keyhaven_sdk_bg.wasm";
/** As the package's module, which lies in `dist`, names it. */
const WASM_NAME = `wasm/${WASM}`;

/** Builds the worker into `folder`; gives the function that takes one cold start. */
export async function workerdRuntime({ stage, npm, folder }) {
  await mkdir(folder, { recursive: true });
  const sdk = path.join(npm, await entry(npm, ["workerd", "worker", "browser"]));
  await bundled(sdk, path.join(folder, "sdk.js"));
  await bundled(path.join(here, "harness/workerd-worker.mjs"), path.join(folder, "worker.js"));
  await writeFile(path.join(folder, WASM), await readFile(path.join(npm, "wasm", WASM)));
  await writeFile(path.join(folder, "config.capnp"), config());
  return {
    name: "workerd",
    coldStart: async (message) => {
      const worker = await started(folder);
      try {
        const answer = await fetch(worker.address, { method: "POST", headers: { stage: JSON.stringify(stage) }, body: message });
        if (!answer.ok) throw new Error(`the worker answered ${answer.status}: ${worker.said()}`);
        return await answer.json();
      } finally {
        await worker.stop();
      }
    },
    close: async () => {},
  };
}

// Modules that the runtime brings stay imports: it loads them, and compiles the Wasm, before it runs anything.
function bundled(start, outfile) {
  return build({ entryPoints: [start], outfile, bundle: true, format: "esm", conditions: ["workerd", "worker", "browser"], external: ["dist/sdk.js", "*.wasm"], logLevel: "error" });
}

function config() {
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .worker), (name = "internet", network = (allow = ["private"])) ],
  sockets = [ (name = "http", address = "127.0.0.1:0", http = (), service = "main") ]
);
const worker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    (name = "dist/sdk.js", esModule = embed "sdk.js"),
    (name = "${WASM_NAME}", wasm = embed "${WASM}"),
  ],
  compatibilityDate = "2026-01-01",
);
`;
}

// It tells its port on the control channel.
function started(folder) {
  const child = spawn(workerd.default, ["serve", "config.capnp", "--control-fd=3"], { cwd: folder, stdio: ["ignore", "ignore", "pipe", "pipe"] });
  const stop = () => new Promise((resolve) => (child.exitCode === null ? child.once("exit", resolve) && child.kill() : resolve()));
  return new Promise((resolve, reject) => {
    let said = "";
    let heard = "";
    child.stderr.on("data", (data) => (said += data));
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`workerd ended with ${code}: ${said}`)));
    child.stdio[3].on("data", (data) => {
      heard += data;
      const port = /"event":"listen","socket":"http","port":(\d+)/.exec(heard)?.[1];
      if (port) resolve({ address: `http://127.0.0.1:${port}`, stop, said: () => said });
    });
  });
}
