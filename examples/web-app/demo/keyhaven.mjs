// Starts `keyhaven dev` on a data folder, and runs the `keyhaven` command line against it.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

const START_TIMEOUT_MS = 30_000;

/** A command that ended with an error. */
export class CommandError extends Error {
  constructor(args, code, stderr) {
    super(`keyhaven ${args.join(" ")} failed with ${code}: ${stderr.trim()}`);
    Object.assign(this, { name: "CommandError", code, stderr });
  }
}

export class Keyhaven {
  #bin;
  #dataDir;
  #process;
  /** What `keyhaven env` prints: KEYHAVEN_ADDR, KEYHAVEN_CACERT, KEYHAVEN_TOKEN. */
  env = {};

  constructor({ bin, dataDir }) {
    this.#bin = bin;
    this.#dataDir = dataDir;
  }

  /**
   * Starts a server and waits until it is ready. Its log goes to the end of `log`; what it prints for a person,
   * the administrator's token among it, is kept nowhere.
   */
  static async start({ bin, dataDir, log, listen = "127.0.0.1:0" }) {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const keyhaven = new Keyhaven({ bin, dataDir });
    const output = createWriteStream(log, { flags: "a", mode: 0o600 });
    const server = spawn(bin, ["dev", "--data-dir", dataDir, "--listen", listen], { stdio: ["ignore", "ignore", "pipe"] });
    server.stderr.pipe(output, { end: false });
    keyhaven.#process = server;
    const failed = once(server, "error").then(([error]) => Promise.reject(error));
    try {
      await Promise.race([keyhaven.#untilReady(log), failed]);
    } catch (error) {
      server.kill("SIGKILL");
      throw error;
    }
    return keyhaven;
  }

  /** Ends the server and waits for its end. */
  async stop() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    await ended;
  }

  /** Runs a command; gives what it prints. */
  async run(...args) {
    const { stdout } = await command(this.#bin, args, { ...process.env, ...this.env });
    return stdout;
  }

  /** Runs a reading command with `--json`. */
  async json(...args) {
    return JSON.parse(await this.run(...args, "--json"));
  }

  /** Calls the native API; gives the status and the document. */
  async call(method, path, { token = this.env.KEYHAVEN_TOKEN, body } = {}) {
    const ca = await readFile(this.env.KEYHAVEN_CACERT);
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const request = https.request(new URL(path, this.env.KEYHAVEN_ADDR), { method, ca, headers, agent: false });
    request.end(body === undefined ? undefined : JSON.stringify(body));
    const [answer] = await once(request, "response");
    const text = Buffer.concat(await answer.toArray()).toString("utf8");
    const document = /json/.test(answer.headers["content-type"] ?? "") ? JSON.parse(text) : text;
    return { status: answer.statusCode, document };
  }

  // The folder may hold the address of an earlier run, so only an answer of this server counts.
  async #untilReady(log) {
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      if (this.#process.exitCode !== null) throw new Error(`keyhaven ended with ${this.#process.exitCode}: see ${log}`);
      if (Date.now() > deadline) throw new Error(`keyhaven is not ready after ${START_TIMEOUT_MS / 1000} s: see ${log}`);
      try {
        this.env = parseExports((await command(this.#bin, ["env", "--data-dir", this.#dataDir], process.env)).stdout);
        if ((await this.call("GET", "/readyz")).status === 200) return;
      } catch (error) {
        if (error.code === "ENOENT") throw error;
      }
      await sleep(50);
    }
  }
}

/** Reads `export NAME='value'` lines. */
export function parseExports(text) {
  const lines = text.matchAll(/^export ([A-Z_]+)=(?:'([^']*)'|"([^"]*)"|(.*))$/gm);
  return Object.fromEntries(Array.from(lines, ([, name, single, double, bare]) => [name, single ?? double ?? bare]));
}

function command(bin, args, env) {
  return new Promise((resolve, reject) => {
    execFile(bin, args, { env, timeout: 60_000, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (!error) resolve({ stdout, stderr });
      else reject(error.code === "ENOENT" ? error : new CommandError(args, error.code ?? error.signal, stderr));
    });
  });
}
