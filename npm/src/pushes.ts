/** Listens for the server's word that leases end. It is a hint that makes their end come at once. */

import type { Deployment } from '../wasm/keyhaven_sdk.js';
import { follow } from './abortable.js';
import type { ServerClock } from './clock.js';
import { fromBase64 } from './encoding.js';
import { guarded } from './errors.js';
import type { Leases } from './leases.js';
import { serverSentEvents } from './sse.js';
import type { Transport } from './transport.js';
import type { Wasm } from './wasm.js';

/** What a listener works with. */
export interface ListenerParts {
  readonly wasm: Wasm;
  readonly transport: Transport;
  readonly clock: ServerClock;
  readonly leases: Leases;
  readonly deployment: Deployment;
  readonly device: string;
}

/** Keeps a connection to the server's lease events until it is stopped. */
export class Listener {
  readonly #parts: ListenerParts;
  readonly #stop = new AbortController();
  #last: bigint | undefined;
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
    const connection = new AbortController();
    const { signal } = connection;
    const release = follow(connection, this.#stop.signal);
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => connection.abort(), SILENCE);
    };
    try {
      heard();
      const after = this.#last === undefined ? '' : `?after=${this.#last}`;
      const stream = await this.#parts.transport.events(`/lease-events${after}`, signal);
      for await (const { event, data, id } of serverSentEvents(stream, signal)) {
        heard();
        if (event === 'hello') {
          // From here on nothing may be missed, not even while reconnecting; without a number, all is heard again.
          this.#last ??= BigInt(/^\d{1,19}$/.exec(id ?? '')?.[0] ?? 0);
          onHello();
        }
        if (event === 'lease') this.#apply(data);
      }
    } finally {
      clearTimeout(silence);
      release();
      connection.abort();
    }
  }

  /** Ends what an event says. One that is not signed, or not new, is passed over. */
  #apply(data: string): void {
    const { wasm, clock, leases, deployment, device } = this.#parts;
    const now = clock.estimate() / 1000;
    const event = guarded(() => wasm.LeaseEvent.verify(fromBase64(data), deployment, now));
    try {
      const serial = BigInt(event.serial);
      if (this.#last !== undefined && serial <= this.#last) return;
      this.#last = serial;
      // A lease given after the event was given in spite of it: say, the key was enabled again.
      const given = event.at * 1000;
      const { keyId } = event;
      if (event.device !== undefined) {
        if (event.device === device) leases.endWhere((lease) => lease.issuedAt <= given, 'device_revoked');
      } else if (keyId !== undefined) {
        leases.endWhere((lease) => lease.keyId === keyId && lease.issuedAt <= given, 'key_stopped');
      } else {
        leases.endWhere((lease) => lease.issuedAt <= given, 'policy_changed');
      }
    } finally {
      event.free();
    }
  }

  /** Waits longer after each failure, and not the same time in every client. */
  async #pause(failures: number): Promise<void> {
    const wait = Math.min(FIRST_PAUSE * 2 ** failures, LONGEST_PAUSE) * (0.5 + Math.random() / 2);
    const { signal } = this.#stop;
    await new Promise<void>((resolve) => {
      if (signal.aborted) return resolve();
      const timer = setTimeout(resolve, wait);
      signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}

/** The server says something every 15 s; a connection that is silent for longer than this is dead. */
const SILENCE = 45_000;
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;
