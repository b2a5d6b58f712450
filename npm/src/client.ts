/** The client: how it is made, and what it gives. */

import type { DataKey } from './data-key.js';
import { contextPairs } from './encoding.js';
import { type Enrolled, enrolledDevice, forgetDevice } from './enrolment.js';
import { KeyhavenError } from './errors.js';
import { type MessageInfo, describe } from './inspect.js';
import { type KeyOptions, keySettings } from './key-settings.js';
import type { Leases } from './leases.js';
import type { DataKeyOptions, DecryptOptions, EncryptOptions } from './message-options.js';
import { Messages } from './messages.js';
import type { OpenedMessage } from './opened-message.js';
import { fetch, own } from './platform.js';
import type { SealingChoice } from './sealing.js';
import { Session, type SessionOptions } from './session.js';
import type { Openable } from './sources.js';
import { type DeviceStorage, indexedDbStorage, memoryStorage } from './storage.js';
import type { TicketSource } from './tickets.js';
import { type Wasm, type WasmOption, type WasmSource, loadWasm } from './wasm.js';

/** How to reach a server, and how to get its permission. */
export interface ConnectOptions extends KeyOptions {
  /** The server's address, such as `https://keys.example`, or in a page `/relay`: a path before `/api/v1` may be a relay's. */
  readonly url: string;
  /** Asks the application's backend for a ticket; called once for each data key. */
  readonly ticket: TicketSource;
  /** Asks the application's backend for an enrolment token; called when this device is new. */
  readonly enrolment: () => Promise<string>;
  /** The server's issuer key (Ed25519, base64). Left out, the key at enrolment is trusted, with a warning. */
  readonly issuer?: string;
  /** A name for people, such as `Firefox on Linux`. */
  readonly deviceName?: string;
  /**
   * How data keys are sealed to this device when it is new. `hybrid`, the default, opens only for who breaks
   * both ML-KEM-768 and X25519; `classical` is X25519 alone. A device that was enrolled keeps what it has.
   */
  readonly sealing?: SealingChoice;
  /** Where the device's keys are kept; by default IndexedDB where there is one, else memory. */
  readonly storage?: 'indexeddb' | 'memory' | DeviceStorage;
  /** Sends requests in place of the platform's `fetch`: say, with a certificate authority of your own. */
  readonly fetch?: typeof globalThis.fetch;
  /** The Wasm module, compiled or its address, where this package cannot find its own. */
  readonly wasm?: WasmOption;
}

/** What the entry points' `connect` does, with the platform's own source of the Wasm module. */
export async function connectWith(source: WasmSource, options: ConnectOptions): Promise<Keyhaven> {
  const given = own(options);
  const keys = keySettings(given);
  // The device is looked for while the module is on its way.
  const loading = loadWasm(source, given.wasm);
  loading.catch(() => undefined);
  const storage = storageOf(given.storage);
  const fetcher = given.fetch ?? fetch;
  const enrolled = await enrolledDevice(loading, own({ ...given, fetch: fetcher, storage, sealing: sealingOf(given.sealing) }));
  return new Keyhaven(own({ ...given, keys, storage, fetch: fetcher }), await loading, enrolled);
}

type Settings = ConnectOptions & SessionOptions & { storage: DeviceStorage };

/** A client of one server, for one enrolled device. Made by `connect`. */
export class Keyhaven implements AsyncDisposable {
  readonly #settings: Settings;
  readonly #wasm: Wasm;
  readonly #device: string;
  readonly #messages: Messages;
  readonly #session: Session;

  /** @internal */
  constructor(settings: Settings, wasm: Wasm, enrolled: Enrolled) {
    const session = new Session(wasm, enrolled, settings);
    this.#settings = settings;
    this.#wasm = wasm;
    this.#device = enrolled.device.id;
    this.#session = session;
    const { leases, dataKeys } = session;
    this.#messages = new Messages({ wasm, leases, dataKeys, ready: () => session.ready() });
    forgotten?.register(this, session, this);
  }

  /** The data keys this client may still use; fires `leaseended`. */
  get leases(): Leases {
    return this.#session.leases;
  }

  /** This device's id. */
  get device(): string {
    return this.#device;
  }

  /** Encrypts data to a message. */
  encrypt(data: Uint8Array, options: EncryptOptions): Promise<Uint8Array> {
    return this.#messages.encrypt(data, options);
  }

  /** Decrypts a message. Nothing is given out unless all of it is genuine. */
  decrypt(message: Uint8Array, options: DecryptOptions = {}): Promise<Uint8Array> {
    return this.#messages.decrypt(message, options);
  }

  /**
   * Encrypts each record to a message of its own, all under one data key and with one request. Small ones are done at
   * once, one after another, without letting others run in between: some 30 ms for 1,000 of 1 KiB.
   */
  encryptMany(records: readonly Uint8Array[], options: EncryptOptions): Promise<Uint8Array[]> {
    return this.#messages.encryptMany(records, options);
  }

  /** Decrypts each message, and says of each, in their order, what came of it: one that is refused spoils no other. */
  decryptMany(messages: readonly Uint8Array[], options: DecryptOptions = {}): Promise<PromiseSettledResult<Uint8Array>[]> {
    return this.#messages.decryptMany(messages, options);
  }

  /** Has a data key at hand for loops over small data that may not wait. It needs the cache of data keys. */
  dataKey(options: DataKeyOptions): Promise<DataKey> {
    return this.#messages.dataKey(options);
  }

  /** A stream that encrypts what is written to it. */
  encryptStream(options: EncryptOptions): TransformStream<Uint8Array, Uint8Array> {
    return this.#messages.encryptStream(options);
  }

  /**
   * A stream that decrypts the message written to it. Each frame comes out as soon as it is verified; a
   * message without its end makes the stream fail, after the frames that were there.
   */
  decryptStream(options: DecryptOptions = {}): TransformStream<Uint8Array, Uint8Array> {
    return this.#messages.decryptStream(options);
  }

  /**
   * Opens a message of which parts are wanted: in memory, in a file, at an address, or wherever a source of your
   * own reads it. What is read is verified, and so is the message's end, before this gives it.
   */
  open(source: Openable, options: DecryptOptions = {}): Promise<OpenedMessage> {
    return this.#messages.open(source, options);
  }

  /** What a message says of itself, from its first bytes; unverified. `undefined` when more are needed. */
  inspect(message: Uint8Array): MessageInfo | undefined {
    return describe(this.#wasm, message);
  }

  /** Asks for a data key now, so that the next message about this need not wait for it. */
  async prefetch({ key, context, signal }: EncryptOptions): Promise<void> {
    await this.#session.ready();
    await this.#session.dataKeys.prefetch(key, contextPairs(context ?? {}), signal);
  }

  /** Ends all leases, zeroizes their keys, and stops listening. The device stays enrolled, and what `persist` keeps stays. */
  async close(): Promise<void> {
    forgotten?.unregister(this);
    await this.#session.close();
  }

  /** As {@link close}: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes, and forgets the leases that `persist` kept: for when the user signs out. The device stays enrolled. */
  async logout(): Promise<void> {
    await this.close();
    await this.#session.wipe();
  }

  /** Logs out, and forgets this device: the next `connect` enrols a new one. */
  async forget(): Promise<void> {
    await this.logout();
    await forgetDevice(this.#settings.url, this.#settings.storage);
  }
}

/** Closes the session of a client that an application lost without closing it. */
const forgotten = typeof FinalizationRegistry === 'undefined'
  ? undefined
  : new FinalizationRegistry<Session>((session) => void session.close());

function storageOf(wanted: ConnectOptions['storage']): DeviceStorage {
  if (typeof wanted === 'object') return wanted;
  const kind = wanted ?? (typeof indexedDB === 'undefined' ? 'memory' : 'indexeddb');
  return kind === 'memory' ? memoryStorage() : indexedDbStorage();
}

function sealingOf(wanted: SealingChoice = 'hybrid'): SealingChoice {
  if (wanted === 'hybrid' || wanted === 'classical') return wanted;
  throw new KeyhavenError('invalid_argument', '`sealing` is `hybrid` or `classical`');
}
