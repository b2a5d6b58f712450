/** What a client works with, from the server's clock to the listener; it knows nothing of the client. */

import { ServerClock } from './clock.js';
import { DataKeys } from './data-keys.js';
import { fromBase64 } from './encoding.js';
import type { Enrolled } from './enrolment.js';
import { KeyhavenError, guarded } from './errors.js';
import { KeyRequests } from './key-requests.js';
import type { KeySettings } from './key-settings.js';
import { indexedDbLeaseStorage } from './lease-storage.js';
import { LeaseVault } from './lease-vault.js';
import { Leases } from './leases.js';
import { Listener } from './pushes.js';
import { Reachability } from './reachability.js';
import type { TicketSource } from './tickets.js';
import { Transport, baseOf } from './transport.js';
import type { Wasm } from './wasm.js';

/** What a session needs to know. */
export interface SessionOptions {
  readonly url: string;
  readonly fetch: typeof globalThis.fetch;
  readonly ticket: TicketSource;
  readonly keys: KeySettings;
}

/** Data keys of one device from one server, and all that keeps them current. */
export class Session {
  /** The data keys that may still be used. */
  readonly leases: Leases;
  readonly dataKeys: DataKeys;
  readonly #vault: LeaseVault | undefined;
  readonly #listener: Listener;
  readonly #owned: readonly { free(): void }[];
  readonly #lifetime = new AbortController();
  #closed = false;

  constructor(wasm: Wasm, { device, enrolment }: Enrolled, options: SessionOptions) {
    const { url, keys, ticket } = options;
    const [clock, reachability] = [new ServerClock(), new Reachability()];
    const issuer = fromBase64(enrolment.issuer);
    const deployment = guarded(() => new wasm.Deployment(enrolment.deployment, issuer, enrolment.epoch));
    const publicKeys = device.publicKeysIn(wasm);
    this.#owned = [deployment, publicKeys, device];
    const transport = new Transport(url, options.fetch, { wasm, device, clock, reachability });
    const leases = new Leases(clock, reachability);
    const vault = vaultOf(keys, baseOf(url), clock);
    const lifetime = this.#lifetime.signal;
    const parts = { wasm, transport, clock, leases, deployment, vault };
    const requests = new KeyRequests({ ...parts, device, publicKeys, ticket, settings: keys, lifetime, listening: () => this.#listening() });
    const dataKeys = new DataKeys({ ...parts, requests, reachability, cache: keys.cache });
    this.leases = leases;
    this.dataKeys = dataKeys;
    this.#vault = vault;
    this.#listener = new Listener({ ...parts, dataKeys, device: device.id });
  }

  /** Begins to listen, so that data keys may be asked for. */
  async ready(): Promise<void> {
    if (this.#closed) throw new KeyhavenError('closed', 'the client was closed');
    // What was kept beyond the page is used only after what was missed meanwhile is heard.
    if (this.#vault) await this.#listening();
    else void this.#listener.start();
  }

  /** Before the first data key comes, somebody listens for its end: a ticket may be asked for meanwhile. */
  async #listening(): Promise<void> {
    // But a server that is slow to push does not hold up the work: the lease itself is the guarantee.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const impatient = new Promise((resolve) => (timer = setTimeout(resolve, PATIENCE)));
    await Promise.race([this.#listener.start(), impatient]);
    clearTimeout(timer);
  }

  /** Ends all leases, zeroizes their keys, and stops listening. What is kept beyond the page stays. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.stop();
    this.#lifetime.abort(new KeyhavenError('closed', 'the client was closed'));
    const kept = this.#vault?.close();
    this.leases.close();
    for (const owned of this.#owned) owned.free();
    await kept;
  }

  /** Closes, and forgets what is kept beyond the page. */
  async wipe(): Promise<void> {
    await this.close();
    await this.#vault?.wipe();
  }
}

function vaultOf({ persist, cache }: KeySettings, scope: string, clock: ServerClock): LeaseVault | undefined {
  if (!persist || !cache) return undefined;
  const storage = persist === true ? indexedDbLeaseStorage() : persist;
  return new LeaseVault(storage, scope, clock, 2 * cache.maxEntries);
}

/** Milliseconds. */
const PATIENCE = 1_000;
