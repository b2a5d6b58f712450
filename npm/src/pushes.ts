/** Listens for the server's word that leases end. It is a hint that makes their end come at once. */

import type { Deployment, LeaseEvent, LeaseStream } from '../wasm/keyhaven_sdk.js';
import { follow } from './abortable.js';
import { type Moment, type ServerClock, moment } from './clock.js';
import type { DataKeys } from './data-keys.js';
import { fromBase64 } from './encoding.js';
import { IntegrityError, guarded } from './errors.js';
import type { LeaseVault } from './lease-vault.js';
import { type ServerSentEvent, serverSentEvents } from './sse.js';
import type { Transport } from './transport.js';
import type { Wasm } from './wasm.js';

/** What a listener works with. */
export interface ListenerParts {
  readonly wasm: Wasm;
  readonly transport: Transport;
  readonly clock: ServerClock;
  readonly dataKeys: Pick<DataKeys, 'ended' | 'rotated'>;
  /** Knows what was heard before this page began. */
  readonly vault: LeaseVault | undefined;
  readonly deployment: Deployment;
  readonly device: string;
}

/** One connection: the stream that its events are signed for, and how far it came. */
interface Connection {
  readonly stream: LeaseStream;
  readonly opened: Moment;
  /** The number that the next event must have. */
  next: number;
  /** Events that were heard before. */
  stale: number;
}

/** Keeps a connection to the server's lease events until it is stopped. */
export class Listener {
  readonly #parts: ListenerParts;
  readonly #stop = new AbortController();
  /** Where the next stream is to go on after, so that nothing is missed in between. */
  #after: string | undefined;
  #running: Promise<void> | undefined;

  constructor(parts: ListenerParts) {
    this.#parts = parts;
  }

  /** Begins to listen, unless it does already; resolves when the first attempt has connected or failed. */
  start(): Promise<void> {
    this.#running ??= new Promise((connected) => void this.#run(connected));
    return this.#running;
  }

  /** Stops for good. */
  stop(): void {
    this.#stop.abort();
  }

  async #run(connected: () => void): Promise<void> {
    await this.#parts.vault?.open();
    this.#after = this.#parts.vault?.after;
    for (let failures = 0; !this.#stop.signal.aborted; failures += 1) {
      try {
        await this.#listen(() => {
          failures = 0;
          connected();
        });
      } catch {
        // Whatever broke the connection: leases end by themselves, and it is tried again.
      }
      connected();
      await this.#pause(failures);
    }
  }

  /** One connection, to its end. */
  async #listen(onHello: () => void): Promise<void> {
    const control = new AbortController();
    const { signal } = control;
    const release = follow(control, this.#stop.signal);
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => control.abort(), SILENCE);
    };
    const stream = guarded(() => new this.#parts.wasm.LeaseStream());
    const connection: Connection = { stream, opened: moment(), next: 0, stale: 0 };
    try {
      heard();
      const after = this.#after === undefined ? '' : `&after=${this.#after}`;
      const answer = await this.#parts.transport.events(`/lease-events?stream=${stream.nonce}${after}`, signal);
      let turn = 0;
      for await (const event of serverSentEvents(answer, signal)) {
        heard();
        if (this.#hear(event, connection) === 'nothing') onHello();
        // A flood must not keep the page from painting, nor this from being stopped.
        turn += 1;
        if (turn % TURN === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      }
    } finally {
      clearTimeout(silence);
      release();
      control.abort();
      stream.free();
    }
  }

  /** Does what an event says, and gives its kind. An event that is not signed for this stream ends it. */
  #hear({ event, data }: ServerSentEvent, connection: Connection): string | undefined {
    if (event !== 'lease' && event !== 'hello') return undefined;
    const bytes = fromBase64(data);
    // What was heard before is not looked at any closer: a replay costs next to nothing.
    if (numberOf(bytes) < connection.next) {
      connection.stale += 1;
      if (connection.stale > MOST_STALE) throw new IntegrityError('answer_malformed', 'events come again and again');
      return undefined;
    }
    const { wasm, clock, deployment } = this.#parts;
    const now = clock.estimate() / 1000;
    const verified = guarded(() => wasm.LeaseEvent.verify(bytes, connection.stream, deployment, now));
    try {
      // The greeting is newer than the request; anything else was so when it was heard, at the latest.
      clock.observe(verified.at * 1000, verified.kind === 'nothing' ? connection.opened : moment());
      if (verified.number > connection.next) this.#parts.dataKeys.ended({ until: Infinity, reason: 'events_missed' });
      connection.next = verified.number + 1;
      this.#apply(verified);
      this.#after = verified.serial;
      this.#parts.vault?.heard(verified.serial);
      return verified.kind;
    } finally {
      verified.free();
    }
  }

  /** Ends what an event says. A lease given after the event was given in spite of it: say, the key was enabled again. */
  #apply({ kind, keyId, keyVersion, device, at }: LeaseEvent): void {
    const { dataKeys } = this.#parts;
    const until = at * 1000;
    if (kind === 'key_stopped' && keyId !== undefined) dataKeys.ended({ keyId, until, reason: kind });
    if (kind === 'key_rotated' && keyId !== undefined) dataKeys.rotated(keyId, keyVersion ?? 0);
    if (kind === 'device_revoked' && device === this.#parts.device) dataKeys.ended({ until, reason: kind });
    if (kind === 'policy_changed') dataKeys.ended({ until, reason: kind });
  }

  /** Waits longer after each failure, and not the same time in every client. */
  async #pause(failures: number): Promise<void> {
    const wait = Math.min(FIRST_PAUSE * 2 ** failures, LONGEST_PAUSE) * (0.5 + Math.random() / 2);
    const { signal } = this.#stop;
    await new Promise<void>((resolve) => {
      if (signal.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, wait);
      signal.addEventListener('abort', done);
    });
  }
}

/** An event's number in its stream, unverified. What is too short to have one is not heard before. */
function numberOf(bytes: Uint8Array): number {
  return bytes.length < 12 ? Infinity : Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(4));
}

/** The server says something every 15 s; a connection that is silent for longer than this is dead. */
const SILENCE = 45_000;
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;
/** A connection on which more events than this come twice is somebody's game. */
const MOST_STALE = 1_000;
const TURN = 256;
