/** Asks the server for one data key: ticket, proof, delivery, verification, key agreement. */

import type { DataKeyHandle, DataKeyRequest, Deployment, DeviceKeys } from '../wasm/keyhaven_sdk.js';
import { follow } from './abortable.js';
import { type ServerClock, moment } from './clock.js';
import { withDeadline } from './deadline.js';
import type { Device } from './device.js';
import type { Answer } from './documents.js';
import { contextFromPairs, toBase64 } from './encoding.js';
import { IntegrityError, KeyhavenError, guarded } from './errors.js';
import type { KeySettings } from './key-settings.js';
import { type TicketRequest, type TicketSource, askForTicket } from './tickets.js';
import type { Transport } from './transport.js';
import type { Wasm } from './wasm.js';

/** A message's data key as its header names it. */
export interface SealedKey {
  readonly key: string;
  readonly version: number;
  readonly encryptedDataKey: Uint8Array;
  readonly pairs: readonly string[];
}

/** A data key that the server gave to this device. */
export interface DeliveredKey {
  readonly handle: DataKeyHandle;
  readonly encryptedDataKey: Uint8Array;
}

/** What data keys are asked with. */
export interface KeyRequestParts {
  readonly wasm: Wasm;
  readonly transport: Transport;
  readonly clock: ServerClock;
  readonly deployment: Deployment;
  readonly device: Device;
  readonly publicKeys: DeviceKeys;
  readonly ticket: TicketSource;
  readonly settings: KeySettings;
  /** Ends with the client. */
  readonly lifetime: AbortSignal;
}

/** What differs between the two requests. */
interface Wish {
  readonly operation: TicketRequest['operation'];
  readonly key: string;
  readonly pairs: readonly string[];
  readonly body: { readonly usage: readonly [string]; readonly encrypted_data_key?: string };
}

/** Asks the server for data keys. */
export class KeyRequests {
  readonly #parts: KeyRequestParts;

  constructor(parts: KeyRequestParts) {
    this.#parts = parts;
  }

  /** A new data key, to encrypt with. */
  async deliver(key: string, pairs: readonly string[], signal: AbortSignal): Promise<DeliveredKey> {
    const wish: Wish = { operation: 'DeliverDataKey', key, pairs, body: { usage: ['encrypt'] } };
    return this.#ask(wish, signal, ({ keyId }) => !UUID.test(key) || keyId === key);
  }

  /** A message's data key, to decrypt with. */
  async unseal({ key, version, encryptedDataKey, pairs }: SealedKey, signal: AbortSignal): Promise<DeliveredKey> {
    const body = { usage: ['decrypt'], encrypted_data_key: toBase64(encryptedDataKey) } as const;
    const wish: Wish = { operation: 'UnsealDataKey', key, pairs, body };
    const { handle } = await this.#ask(wish, signal, ({ keyId, keyVersion }) => keyId === key && keyVersion === version);
    return { handle, encryptedDataKey };
  }

  async #ask(wish: Wish, given: AbortSignal, fits: (handle: DataKeyHandle) => boolean): Promise<DeliveredKey> {
    const { wasm, transport, device, clock, settings, lifetime } = this.#parts;
    const ends = new AbortController();
    const releases = [lifetime, given].map((signal) => follow(ends, signal));
    const { signal } = ends;
    const { operation, key, pairs, body } = wish;
    const context = contextFromPairs(pairs);
    const { leaseSeconds, offlineGraceSeconds, timeoutSeconds } = settings;
    const path = `/keys/${keySegment(key)}/${PATHS[operation]}`;
    const usage = body.usage[0];
    const request = guarded(() => new wasm.DataKeyRequest([...pairs], usage, leaseSeconds, offlineGraceSeconds));
    try {
      const want = { operation, key, context, device: device.id };
      const ticket = await withDeadline(timeoutSeconds, signal, (late) => askForTicket(this.#parts.ticket, want, late));
      const terms = { lease_s: leaseSeconds, offline_grace_s: offlineGraceSeconds };
      const document = { ...body, nonce: toBase64(request.nonce), context, ...terms };
      const sent = moment();
      const answer = await transport.post(path, document, { authorization: `Keyhaven-Ticket ${ticket}`, signal, timeoutSeconds });
      const encryptedDataKey = answer.bytes('encrypted_data_key');
      const handle = await this.#open(request, answer);
      if (signal.aborted || !fits(handle)) {
        handle.free();
        signal.throwIfAborted();
        throw new IntegrityError('delivery_refused', 'the answer is about another key, or version, than the request');
      }
      clock.observe(handle.issuedAt * 1000, sent);
      return { handle, encryptedDataKey };
    } finally {
      request.free();
      for (const release of releases) release();
    }
  }

  /** Believes an answer only as far as it is signed, for this request, and sealed to this device. */
  async #open(request: DataKeyRequest, answer: Answer): Promise<DataKeyHandle> {
    const { wasm, deployment, device, publicKeys, clock } = this.#parts;
    const [key, keyring] = [answer.text('key'), answer.text('keyring')];
    const [delivery, version] = [answer.bytes('delivery'), answer.number('version')];
    const heard = guarded(() => new wasm.DeliveryAnswer(delivery, keyring, key, version));
    try {
      const now = clock.estimate() / 1000;
      return await device.open(guarded(() => request.verify(heard, publicKeys, deployment, now)));
    } finally {
      heard.free();
    }
  }
}

/** The key's name as a part of a path. A colon, between keyring and alias, stays. */
function keySegment(key: string): string {
  if (!/^[^/?#\s\\]+$/.test(key) || /^\.+$/.test(key)) {
    throw new KeyhavenError('invalid_argument', '`key` is a key\'s id, its alias, or keyring:alias');
  }
  return encodeURIComponent(key).replace(/%3A/g, ':');
}

const PATHS = { DeliverDataKey: 'deliver-data-key', UnsealDataKey: 'unseal-data-key' } as const;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
