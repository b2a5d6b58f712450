/** Data keys: asked for under a ticket, verified, opened, and held as long as their lease allows. */

import type { DataKeyHandle, Deployment, DeviceKeys } from '../wasm/keyhaven_sdk.js';
import { type ServerClock, moment } from './clock.js';
import type { Device } from './device.js';
import type { Answer } from './documents.js';
import { type EncryptionContext, contextFromPairs, toBase64 } from './encoding.js';
import { IntegrityError, KeyhavenError, guarded } from './errors.js';
import type { HeldKey, Lease, Leases } from './leases.js';
import type { Transport } from './transport.js';
import type { Wasm } from './wasm.js';

/** What a ticket must allow. */
export interface TicketRequest {
  /** `DeliverDataKey` to encrypt, `UnsealDataKey` to decrypt. */
  readonly operation: 'DeliverDataKey' | 'UnsealDataKey';
  /** The key: as the application named it to encrypt; its id, from the message, to decrypt. */
  readonly key: string;
  /** The whole encryption context. */
  readonly context: EncryptionContext;
  /** This device. */
  readonly device: string;
}

/** Asks the application's backend for a ticket. */
export type TicketSource = (want: TicketRequest) => Promise<string>;

/** A new data key, to encrypt one message with. */
export interface NewKey {
  readonly handle: DataKeyHandle;
  readonly lease: Lease;
  readonly encryptedDataKey: Uint8Array;
}

/** A message's data key as its header names it. */
export interface SealedKey {
  readonly key: string;
  readonly version: number;
  readonly encryptedDataKey: Uint8Array;
  readonly pairs: string[];
}

/** What data keys are asked with. */
export interface DataKeysParts {
  readonly wasm: Wasm;
  readonly transport: Transport;
  readonly clock: ServerClock;
  readonly leases: Leases;
  readonly deployment: Deployment;
  readonly device: Device;
  readonly ticket: TicketSource;
  /** Seconds of lease to ask for. */
  readonly leaseSeconds: number;
  /** Ends with the client. */
  readonly lifetime: AbortSignal;
}

/** Asks the server for data keys. */
export class DataKeys {
  readonly #parts: DataKeysParts;
  readonly #publicKeys: DeviceKeys;
  readonly #asking = new Map<string, Promise<HeldKey>>();

  constructor(parts: DataKeysParts, publicKeys: DeviceKeys) {
    this.#parts = parts;
    this.#publicKeys = publicKeys;
  }

  /** A new data key. Never a held one: so new messages always name the key's newest version. */
  async fresh(key: string, pairs: string[], signal?: AbortSignal): Promise<NewKey> {
    const want = { operation: 'DeliverDataKey', key, context: contextFromPairs(pairs) } as const;
    const { handle, answer } = await this.#ask(want, pairs, { usage: ['encrypt'] }, signal);
    const encryptedDataKey = answer.bytes('encrypted_data_key');
    return { handle, lease: this.#parts.leases.start(handle), encryptedDataKey };
  }

  /** The data key of a message: held, or unsealed by the server. Two who ask at once share one answer. */
  async unsealed(sealed: SealedKey, signal?: AbortSignal): Promise<HeldKey> {
    const name = toBase64(sealed.encryptedDataKey);
    const held = this.#parts.leases.held(name);
    if (held) return held;
    // With a signal of its own it asks alone: one who gives up must not spoil the other's answer.
    if (signal) return this.#unseal(sealed, name, signal);
    const asking = this.#asking.get(name) ?? this.#unseal(sealed, name);
    this.#asking.set(name, asking);
    try {
      return await asking;
    } finally {
      this.#asking.delete(name);
    }
  }

  async #unseal(sealed: SealedKey, name: string, signal?: AbortSignal): Promise<HeldKey> {
    const { key, version, pairs } = sealed;
    const want = { operation: 'UnsealDataKey', key, context: contextFromPairs(pairs) } as const;
    const body = { usage: ['decrypt'], encrypted_data_key: name };
    const { handle } = await this.#ask(want, pairs, body, signal);
    if (handle.keyId !== key || handle.keyVersion !== version) {
      handle.free();
      throw new IntegrityError('delivery_refused', 'the answer is about another key version than the message');
    }
    return this.#parts.leases.keep(name, handle);
  }

  /** One request and its answer: ticket, proof, delivery, verification, key agreement. */
  async #ask(
    want: Omit<TicketRequest, 'device'>,
    pairs: string[],
    body: { usage: string[]; encrypted_data_key?: string },
    given?: AbortSignal,
  ): Promise<{ handle: DataKeyHandle; answer: Answer }> {
    const { wasm, transport, device, clock, leaseSeconds, lifetime } = this.#parts;
    const signal = given ? AbortSignal.any([lifetime, given]) : lifetime;
    const usage = body.usage.join();
    const request = guarded(() => new wasm.DataKeyRequest(pairs, usage, leaseSeconds));
    try {
      const ticket = await this.#parts.ticket({ ...want, device: device.id });
      signal.throwIfAborted();
      const path = `/keys/${keySegment(want.key)}/${PATHS[want.operation]}`;
      const document = { ...body, nonce: toBase64(request.nonce), context: want.context, lease_s: leaseSeconds };
      const authorization = `Keyhaven-Ticket ${bearer(ticket)}`;
      const sent = moment();
      const answer = await transport.post(path, document, { authorization, signal });
      signal.throwIfAborted();
      const handle = await this.#open(request, answer, want.key);
      clock.observe(handle.issuedAt * 1000, sent);
      return { handle, answer };
    } finally {
      request.free();
    }
  }

  async #open(request: InstanceType<Wasm['DataKeyRequest']>, answer: Answer, asked: string): Promise<DataKeyHandle> {
    const { wasm, deployment, device, clock } = this.#parts;
    const [key, keyring] = [answer.text('key'), answer.text('keyring')];
    if (UUID.test(asked) && key !== asked) {
      throw new IntegrityError('delivery_refused', 'the answer is about another key than the request');
    }
    const [delivery, version] = [answer.bytes('delivery'), answer.number('version')];
    const heard = guarded(() => new wasm.DeliveryAnswer(delivery, keyring, key, version));
    try {
      const now = clock.estimate() / 1000;
      return await device.open(guarded(() => request.verify(heard, this.#publicKeys, deployment, now)));
    } finally {
      heard.free();
    }
  }
}

/** A ticket or token as a header can carry it. */
export function bearer(token: unknown): string {
  if (typeof token === 'string' && /^[\w.~+/=-]+$/.test(token)) return token;
  throw new KeyhavenError('invalid_argument', 'a ticket or enrolment token is a compact JWS, as the server minted it');
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
