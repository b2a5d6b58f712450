// A store of encrypted files, in a folder. It sees ciphertext only, and gives it to any user who asks:
// who can read a file is decided by Keyhaven, when a device asks for its key.
import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readFile, readdir, rename, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";

import { Refusal, readJson, sendJson } from "./http.mjs";

export class Files {
  #config;
  #folder;
  #writing = new Set();

  /** Opens the store, making its folder if need be. */
  static async open(config) {
    const files = new Files();
    files.#config = config;
    files.#folder = path.join(config.data, "files");
    await mkdir(files.#folder, { recursive: true, mode: 0o700 });
    return files;
  }

  /** Lists complete files, the newest first. */
  async list({ response }) {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith(".json"));
    const all = await Promise.all(names.map((name) => this.#describe(name.slice(0, -".json".length))));
    const files = all.filter((file) => file.complete).sort((a, b) => b.created_at - a.created_at);
    sendJson(response, 200, { files });
  }

  /** Begins an upload. The id is what the file's data key is bound to. */
  async create({ request, response }, owner) {
    const { name, type, size } = await readJson(request);
    if (typeof name !== "string" || typeof type !== "string" || !Number.isSafeInteger(size) || size < 0) {
      throw new Refusal(400, "invalid_request", "Send the file's name, type and size.");
    }
    const file = { id: randomUUID(), name: name.slice(0, 200), type: type.slice(0, 100), size, owner };
    await writeFile(this.#path(file.id, "bin"), "", { mode: 0o600 });
    await this.#save({ ...file, created_at: Date.now(), stored: 0, complete: false });
    sendJson(response, 201, { id: file.id });
  }

  /** Takes the next part of an upload, at the offset where the last one ended. */
  async append({ request, response, url, id }, user) {
    const file = await this.#uploading(id, user);
    const blob = this.#path(id, "bin");
    const offset = Number(url.searchParams.get("offset"));
    if (this.#writing.has(id) || offset !== (await stat(blob)).size) {
      throw new Refusal(409, "conflict", "Send the parts one after the other, each at the end of the last.");
    }
    const room = Math.min(this.#config.maxPartBytes, this.#config.maxFileBytes - offset);
    this.#writing.add(id);
    try {
      await pipeline(request, atMost(room), createWriteStream(blob, { flags: "a" }));
    } finally {
      this.#writing.delete(id);
    }
    sendJson(response, 200, { id: file.id });
  }

  /** Ends an upload; from now on the file is listed and cannot change. */
  async complete({ response, id }, user) {
    const file = await this.#uploading(id, user);
    const stored = (await stat(this.#path(id, "bin"))).size;
    await this.#save({ ...file, stored, complete: true });
    sendJson(response, 200, { id, stored });
  }

  /** Gives out the ciphertext, or a part of it (`Range: bytes=…`). */
  async read({ request, response, id }) {
    const { complete, stored } = await this.#describe(id);
    if (!complete) throw new Refusal(404, "not_found", "There is no such file.");
    const part = partOf(request.headers.range, stored);
    const { start, end } = part ?? { start: 0, end: stored };
    const headers = { "Content-Type": "application/octet-stream", "Content-Length": end - start, "Accept-Ranges": "bytes" };
    if (part) response.writeHead(206, { ...headers, "Content-Range": `bytes ${start}-${end - 1}/${stored}` });
    else response.writeHead(200, headers);
    if (start === end) return void response.end();
    // The page may stop reading, as it does when it is refused the key.
    await pipeline(createReadStream(this.#path(id, "bin"), { start, end: end - 1 }), response).catch(() => {});
  }

  async #uploading(id, user) {
    const file = await this.#describe(id);
    if (file.owner !== user || file.complete) throw new Refusal(409, "conflict", "This file cannot be written.");
    return file;
  }

  async #describe(id) {
    try {
      return JSON.parse(await readFile(this.#path(id, "json"), "utf8"));
    } catch {
      throw new Refusal(404, "not_found", "There is no such file.");
    }
  }

  async #save(file) {
    const temporary = this.#path(file.id, "tmp");
    await writeFile(temporary, JSON.stringify(file), { mode: 0o600 });
    await rename(temporary, this.#path(file.id, "json"));
  }

  #path(id, kind) {
    return path.join(this.#folder, `${id}.${kind}`);
  }
}

/** What a `Range` header asks for of so many bytes; nothing where it asks for what this store does not know. */
function partOf(header, stored) {
  const [, first, last] = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(header ?? "") ?? [];
  if (first === undefined) return undefined;
  const [start, end] = [Number(first), last === "" ? stored : Math.min(Number(last) + 1, stored)];
  if (start >= stored || end <= start) throw new Refusal(416, "range_not_satisfiable", "The file has no such part.");
  return { start, end };
}

function atMost(limit) {
  let size = 0;
  return new Transform({
    transform(part, _, done) {
      size += part.length;
      done(size > limit ? new Refusal(413, "body_too_large", "The part or the file is too large.") : null, part);
    },
  });
}
