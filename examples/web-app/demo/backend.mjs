// Starts the example's backend.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SERVER = fileURLToPath(new URL("../server.mjs", import.meta.url));

export class Backend {
  #process;
  /** Where its pages are. */
  address;

  /** Starts it with these settings (see `backend/config.mjs`) and nothing else that is secret. */
  static async start({ settings, log }) {
    const backend = new Backend();
    const { PATH, KEYHAVEN_NPM_PACKAGE } = process.env;
    const env = { PATH, ...(KEYHAVEN_NPM_PACKAGE && { KEYHAVEN_NPM_PACKAGE }), ...settings };
    const server = spawn(process.execPath, [SERVER], { env, stdio: ["ignore", "pipe", "pipe"] });
    backend.#process = server;
    const output = createWriteStream(log, { flags: "a", mode: 0o600 });
    server.stdout.pipe(output, { end: false });
    server.stderr.pipe(output, { end: false });
    const listening = once(createInterface({ input: server.stdout }), "line");
    const ended = once(server, "exit").then(() => Promise.reject(new Error(`the backend did not start: see ${log}`)));
    ended.catch(() => {});
    const [line] = await Promise.race([listening, ended]);
    backend.address = line.replace("listening on ", "");
    return backend;
  }

  /** Ends it and waits for its end. */
  async stop() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    await ended;
  }
}
