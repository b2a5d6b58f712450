/** Messages: how each is encrypted and decrypted, with whichever data key and coder it takes. */

import type { MessageHeader } from '../wasm/keyhaven_sdk.js';
import type { DataKeys } from './data-keys.js';
import { type EncryptionContext, contextFromPairs, contextPairs } from './encoding.js';
import { IntegrityError, fromWasm, guarded } from './errors.js';
import type { HeldKey } from './key-cache.js';
import type { SealedKey } from './key-requests.js';
import type { Leases } from './leases.js';
import { own } from './platform.js';
import { HeaderPump, LazyPump, type Pump, whole } from './pumps.js';
import { Work, type WorkHooks, transformStream } from './streams.js';
import type { Wasm } from './wasm.js';

/** How to encrypt. */
export interface EncryptOptions {
  /** The key: its id, its alias in the keyring `default`, or `keyring:alias`. */
  readonly key: string;
  /** What the data is about: authenticated with it, readable by all. */
  readonly context?: EncryptionContext;
  /** Gives up early. */
  readonly signal?: AbortSignal;
}

/** How to decrypt. */
export interface DecryptOptions {
  /** Pairs that the message's context must have. */
  readonly context?: EncryptionContext;
  /** Gives up early. */
  readonly signal?: AbortSignal;
}

/** What messages are made with. */
export interface MessagesParts {
  readonly wasm: Wasm;
  readonly dataKeys: DataKeys;
  readonly leases: Leases;
  /** Waits until a data key may be asked for. */
  readonly ready: () => Promise<void>;
}

/** Encrypts and decrypts. */
export class Messages {
  readonly #wasm: Wasm;
  readonly #dataKeys: DataKeys;
  readonly #leases: Leases;
  readonly #ready: () => Promise<void>;

  constructor({ wasm, dataKeys, leases, ready }: MessagesParts) {
    this.#wasm = wasm;
    this.#dataKeys = dataKeys;
    this.#leases = leases;
    this.#ready = ready;
  }

  /** Encrypts data to a message. */
  async encrypt(data: Uint8Array, options: EncryptOptions): Promise<Uint8Array> {
    const given = own(options);
    return whole(this.#encryption(given, data.length, ignore), data, given.signal);
  }

  /** Decrypts a message. Nothing is given out unless all of it is genuine. */
  async decrypt(message: Uint8Array, options: DecryptOptions): Promise<Uint8Array> {
    const given = own(options);
    const reader = new this.#wasm.HeaderReader();
    const header = guarded(() => reader.push(message));
    reader.free();
    if (!header) throw fromWasm('message_truncated');
    // A signed message gives out nothing before its end, so its header opens the rest in one go.
    if (header.signed) return this.#decryptWhole(header, given);
    header.free();
    return whole(this.#decryption(given, ignore), message, given.signal);
  }

  /** A stream that encrypts what is written to it. */
  encryptStream(options: EncryptOptions): TransformStream<Uint8Array, Uint8Array> {
    const given = own(options);
    return transformStream((fail) => this.#encryption(given, undefined, fail), given.signal);
  }

  /** A stream that decrypts the message written to it. */
  decryptStream(options: DecryptOptions): TransformStream<Uint8Array, Uint8Array> {
    const given = own(options);
    return transformStream((fail) => this.#decryption(given, fail), given.signal);
  }

  #encryption(options: EncryptOptions, bytes: number | undefined, onLeaseEnd: WorkHooks['onLeaseEnd']): Pump {
    const pairs = contextPairs(options.context ?? {});
    return new LazyPump(async () => {
      await this.#ready();
      const demand = { messages: 1, bytes };
      const { handle, lease, encryptedDataKey } = await this.#dataKeys.forEncryption(options.key, pairs, demand, options.signal);
      lease.check();
      const coder = guarded(() => new this.#wasm.Encryptor(handle, encryptedDataKey, pairs));
      return new Work(coder, lease, { onLeaseEnd, onClose: () => this.#leases.finish(lease) });
    });
  }

  #decryption(options: DecryptOptions, onLeaseEnd: WorkHooks['onLeaseEnd']): Pump {
    const required = contextPairs(options.context ?? {});
    return new HeaderPump(new this.#wasm.HeaderReader(), async (header) => {
      const { handle, lease } = await this.#unseal(header, required, options.signal);
      return new Work(guarded(() => header.open(handle)), lease, { onLeaseEnd, onClose: () => this.#leases.finish(lease) });
    });
  }

  async #decryptWhole(header: MessageHeader, options: DecryptOptions): Promise<Uint8Array> {
    const { handle } = await this.#unseal(header, contextPairs(options.context ?? {}), options.signal);
    return guarded(() => header.openWhole(handle));
  }

  /** The message's data key, whose lease has not ended. */
  async #unseal(header: MessageHeader, required: string[], signal?: AbortSignal): Promise<HeldKey> {
    await this.#ready();
    const sealed: SealedKey = guarded(() => ({
      key: header.keyId,
      version: header.keyVersion,
      encryptedDataKey: header.encryptedDataKey,
      pairs: header.context,
    }));
    requirePairs(sealed.pairs, required);
    const held = await this.#dataKeys.forDecryption(sealed, signal);
    held.lease.check();
    return held;
  }
}

/** Refuses a message whose context lacks a pair that the application requires. */
function requirePairs(pairs: readonly string[], required: readonly string[]): void {
  const [has, needs] = [contextFromPairs(pairs), contextFromPairs(required)];
  if (Object.entries(needs).some(([key, value]) => has[key] !== value)) {
    throw new IntegrityError('context_mismatch', 'the message is about something else than was asked for');
  }
}

/** Nobody waits for a whole message's coder to fail: its next step does. */
function ignore(): void {}
