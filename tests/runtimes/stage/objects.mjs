// A store of encrypted objects, as a backend or a bucket has them: PUT, and GET with ranges. It counts what it gives.

export class Objects {
  #kept = new Map();
  /** Bytes that were sent of each object. */
  sent = new Map();

  /** Answers a request for `/objects/NAME`. With `?cut=N` the connection breaks after N bytes. */
  async answer(request, response) {
    const { pathname: name, searchParams } = new URL(request.url, 'http://objects.invalid');
    if (request.method === 'PUT') {
      this.#kept.set(name, Buffer.concat(await request.toArray()));
      return void response.writeHead(204).end();
    }
    const bytes = this.#kept.get(name);
    if (!bytes) return void response.writeHead(404).end();
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const from = Number(first ?? 0);
    const to = last ? Math.min(Number(last) + 1, bytes.length) : bytes.length;
    if (from >= to) return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    const headers = { 'content-length': to - from, 'content-type': 'application/octet-stream' };
    if (first === undefined) response.writeHead(200, headers);
    else response.writeHead(206, { ...headers, 'content-range': `bytes ${from}-${to - 1}/${bytes.length}` });
    await this.#send(name, bytes.subarray(from, to), response, searchParams.get('cut'));
  }

  // In pieces, and no faster than they are taken: so that the count is of what the other side really read.
  async #send(name, bytes, response, cut) {
    const closed = new Promise((resolve) => response.once('close', resolve));
    const limit = cut === null ? bytes.length : Number(cut);
    for (let at = 0; at < limit && !response.destroyed; at += PIECE) {
      const piece = bytes.subarray(at, Math.min(at + PIECE, limit));
      this.sent.set(name, (this.sent.get(name) ?? 0) + piece.length);
      if (!response.write(piece)) await Promise.race([new Promise((resolve) => response.once('drain', resolve)), closed]);
    }
    if (cut !== null) response.socket?.resetAndDestroy();
    else response.end();
  }
}

const PIECE = 64 * 1024;
