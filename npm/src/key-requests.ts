/** Asks the server for one data key: ticket, proof, delivery, verification, key agreement. */

import type { DataKeyHandle, Delivery, DeliveryAnswer, Deployment, DeviceKeys } from '../wasm/keyhaven_sdk.js';
import { follow } from './abortable.js';
import { type ServerClock, moment } from './clock.js';
import { withDeadline } from './deadline.js';
import type { Device } from './device.js';
import type { Answer } from './documents.js';
import { contextFromPairs, toBase64 } from './encoding.js';
import { IntegrityError, KeyhavenError, guarded } from './errors.js';
import type { KeySettings } from './key-settings.js';
import type { LeasePurpose } from './lease.js';
import { type TicketRequest, type TicketSource, askForTicket } from './tickets.js';
import type { RequestOptions, Transport } from './transport.js';
import type { Wasm } from './wasm.js';

/** A message's data key as its header names it. */
export interface SealedKey {
  readonly key: string;
  readonly version: number;
  readonly encryptedDataKey: Uint8Array;
  readonly pairs: readonly string[];
}

/** The server's answer as it came: the data key sealed to this device, and what it must match. */
export interface SealedAnswer {
  readonly nonce: Uint8Array;
  readonly delivery: Uint8Array;
  readonly keyId: string;
  readonly keyVersion: number;
  readonly keyring: string;
}

/** A data key that the server gave to this device. */
export interface DeliveredKey {
  readonly handle: DataKeyHandle;
  readonly encryptedDataKey: Uint8Array;
  readonly answer: SealedAnswer;
}

/** A kept answer, and what was asked for. */
export interface KeptAnswer extends SealedAnswer {
  readonly purpose: LeasePurpose;
  readonly pairs: readonly string[];
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
  /** Waits until somebody listens for a data key's end, but not for long: before one comes. */
  readonly listening: () => Promise<void>;
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
    const delivered = await this.#ask(wish, signal, ({ keyId, keyVersion }) => keyId === key && keyVersion === version);
    return { ...delivered, encryptedDataKey };
  }

  /** Opens an answer that was kept, after it is verified once more, by the limits of today. */
  async reopen(kept: KeptAnswer): Promise<DataKeyHandle> {
    const { wasm, clock, settings } = this.#parts;
    const { leaseSeconds, offlineGraceSeconds } = settings;
    const request = guarded(() =>
      wasm.DataKeyRequest.restore([...kept.pairs], kept.purpose, leaseSeconds, offlineGraceSeconds, kept.nonce),
    );
    try {
      return await this.#open(kept, (heard, keys, deployment) => request.verifyKept(heard, keys, deployment, clock.now() / 1000));
    } finally {
      request.free();
    }
  }

  async #ask(wish: Wish, given: AbortSignal, fits: (handle: DataKeyHandle) => boolean): Promise<DeliveredKey> {
    const { wasm, device, clock, settings, lifetime } = this.#parts;
    const { leaseSeconds, offlineGraceSeconds, timeoutSeconds } = settings;
    const { operation, key, pairs, body } = wish;
    const request = guarded(() => new wasm.DataKeyRequest([...pairs], body.usage[0], leaseSeconds, offlineGraceSeconds));
    const ends = new AbortController();
    const releases = [lifetime, given].map((signal) => follow(ends, signal));
    const { signal } = ends;
    try {
      const listening = this.#parts.listening();
      const want = { operation, key, context: contextFromPairs(pairs), device: device.id };
      const ticket = await withDeadline(timeoutSeconds, signal, (late) => askForTicket(this.#parts.ticket, want, late));
      await listening;
      signal.throwIfAborted();
      const sent = moment();
      const heard = await this.#post(wish, request.nonce, { authorization: `Keyhaven-Ticket ${ticket}`, signal, timeoutSeconds });
      const encryptedDataKey = heard.bytes('encrypted_data_key');
      const answer = sealedAnswer(request.nonce, heard);
      const now = () => clock.estimate() / 1000;
      const handle = await this.#open(answer, (...parts) => request.verify(...parts, now()));
      if (signal.aborted || !fits(handle)) {
        handle.free();
        signal.throwIfAborted();
        throw new IntegrityError('delivery_refused', 'the answer is about another key, or version, than the request');
      }
      clock.observe(handle.issuedAt * 1000, sent);
      return { handle, encryptedDataKey, answer };
    } catch (error) {
      // A client that was closed meanwhile has freed what this worked with.
      signal.throwIfAborted();
      throw error;
    } finally {
      request.free();
      for (const release of releases) release();
    }
  }

  #post({ operation, key, pairs, body }: Wish, nonce: Uint8Array, options: RequestOptions): Promise<Answer> {
    const { transport, settings } = this.#parts;
    const terms = { lease_s: settings.leaseSeconds, offline_grace_s: settings.offlineGraceSeconds };
    const document = { ...body, nonce: toBase64(nonce), context: contextFromPairs(pairs), ...terms };
    return transport.post(`/keys/${keySegment(key)}/${PATHS[operation]}`, document, options);
  }

  /** Believes an answer only as far as it is signed, for this request, and sealed to this device. */
  async #open(answer: SealedAnswer, verify: Verify): Promise<DataKeyHandle> {
    const { wasm, deployment, device, publicKeys } = this.#parts;
    const { delivery, keyring, keyId, keyVersion } = answer;
    const heard = guarded(() => new wasm.DeliveryAnswer(delivery, keyring, keyId, keyVersion));
    try {
      return await device.open(guarded(() => verify(heard, publicKeys, deployment)));
    } finally {
      heard.free();
    }
  }
}

type Verify = (heard: DeliveryAnswer, keys: DeviceKeys, deployment: Deployment) => Delivery;

function sealedAnswer(nonce: Uint8Array, heard: Answer): SealedAnswer {
  const [keyId, keyring] = [heard.text('key'), heard.text('keyring')];
  return { nonce, delivery: heard.bytes('delivery'), keyId, keyVersion: heard.number('version'), keyring };
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
