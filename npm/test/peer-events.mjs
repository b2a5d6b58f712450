// Lease events as the server pushes them, written a second time from docs/formats.md; and what somebody on the
// way could make of them.

const u64 = (number) => { const b = Buffer.alloc(8); b.writeBigUInt64BE(BigInt(number)); return b; };
const NOTHING = { code: 5, subject: Buffer.alloc(32) };

/** The streams of all devices, and what was announced on them. `sign` makes an event of its parts. */
export class Events {
  #sign;
  #streams = new Set();
  #log = [];
  #serial = 1000;

  constructor(sign) {
    this.#sign = sign;
  }

  /** How many streams are open. */
  get listening() {
    return this.#streams.size;
  }

  /** Announces what ended, to those who listen and those who come back. */
  announce(code, subject, at = Math.floor(Date.now() / 1000)) {
    const event = { code, subject, at, serial: (this.#serial += 1) };
    this.#log.push(event);
    for (const stream of this.#streams) this.#send(stream, 'lease', event);
  }

  /** Changes the next chunk on its way: `change` takes its text and gives another, or nothing to lose it. */
  onTheWay(change) {
    for (const stream of this.#streams) stream.change = change;
  }

  /** Puts text into all streams, as somebody on the way could. */
  inject(text) {
    for (const { controller } of this.#streams) controller.enqueue(Buffer.from(text));
  }

  /** Breaks all streams. */
  hangUp() {
    for (const { controller } of this.#streams) controller.close();
    this.#streams.clear();
  }

  /** The answer to a device that wants to listen. */
  response(signal, query) {
    const after = query.get('after');
    const stream = { nonce: Buffer.from(query.get('stream'), 'base64url'), number: 0, controller: undefined };
    const body = new ReadableStream({
      start: (controller) => {
        stream.controller = controller;
        const missed = after === null ? [] : this.#log.filter(({ serial }) => serial > Number(after));
        for (const event of missed) this.#send(stream, 'lease', event);
        this.#send(stream, 'hello', { ...NOTHING, at: Math.floor(Date.now() / 1000), serial: this.#serial });
        this.#streams.add(stream);
        signal?.addEventListener('abort', () => {
          if (this.#streams.delete(stream)) controller.error(signal.reason);
        });
      },
      cancel: () => void this.#streams.delete(stream),
    });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  }

  #send(stream, name, { serial, code, subject, at }) {
    const head = [u64(stream.number), u64(serial), Buffer.from([code]), subject, u64(at)];
    const data = this.#sign(stream.nonce, head).toString('base64');
    stream.number += 1;
    const text = `event: ${name}\nid: ${serial}\ndata: ${data}\n\n`;
    const { change } = stream;
    stream.change = undefined;
    const changed = change ? change(text) : text;
    if (changed) stream.controller.enqueue(Buffer.from(changed));
  }
}
