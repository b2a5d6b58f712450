/** Messages: how each is encrypted and decrypted, with whichever data key and coder it takes. */

import type { FrameLayout, MessageHeader } from '../wasm/keyhaven_sdk.js';
import type { Sink } from './coders.js';
import { fewerThanWebCrypto } from './crossover.js';
import type { DataKeys, Demand } from './data-keys.js';
import { type EncryptionContext, contextFromPairs, contextPairs } from './encoding.js';
import { IntegrityError, fromWasm, guarded } from './errors.js';
import type { EncryptionKey, HeldKey } from './key-cache.js';
import type { SealedKey } from './key-requests.js';
import type { Leases } from './leases.js';
import { OpenFrames } from './open-frames.js';
import { OpenedMessage } from './opened-message.js';
import { own } from './platform.js';
import { HeaderPump, LazyPump, type Pump, whole } from './pumps.js';
import { SealFrames } from './seal-frames.js';
import { type MessageSource, type Openable, sourceOf } from './sources.js';
import { HereCoder, Work, messageStream } from './streams.js';
import type { Wasm } from './wasm.js';

/** How to encrypt. */
export interface EncryptOptions {
  /** The key: its id, its alias in the keyring `default`, or `keyring:alias`. */
  readonly key: string;
  /** What the data is about: authenticated with it, readable by all. */
  readonly context?: EncryptionContext;
  /** Gives up early. */
  readonly signal?: AbortSignal;
  /** Hears how many bytes of plaintext are done. */
  readonly onProgress?: (bytes: number) => void;
  /**
   * Signs the message with a key of its own (suite 0x0578, the default of the AWS Encryption SDK): those who can only
   * decrypt cannot have written it. Slower, since all of it is done in Wasm; `decryptStream` does not take such a
   * message, `decrypt` does.
   */
  readonly signed?: boolean;
}

/** How to decrypt. */
export interface DecryptOptions {
  /** Pairs that the message's context must have. */
  readonly context?: EncryptionContext;
  /** Gives up early. */
  readonly signal?: AbortSignal;
  /** Hears how many bytes of plaintext are done. */
  readonly onProgress?: (bytes: number) => void;
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
    const pairs = contextPairs(given.context ?? {});
    if (!given.signed && fewerThanWebCrypto(data.length)) return this.#sealHere(data, pairs, given);
    return whole((sink) => this.#encryption(given, pairs, data.length, sink), data, given);
  }

  /** Decrypts a message. Nothing is given out unless all of it is genuine. */
  async decrypt(message: Uint8Array, options: DecryptOptions): Promise<Uint8Array> {
    const given = own(options);
    const required = contextPairs(given.context ?? {});
    const header = this.#header(message);
    try {
      if (header.signed || fewerThanWebCrypto(message.length - header.length)) return await this.#openHere(header, message, required, given);
    } finally {
      header.free();
    }
    return whole((sink) => this.#decryption(given, sink), message, given);
  }

  /** A stream that encrypts what is written to it. */
  encryptStream(options: EncryptOptions): TransformStream<Uint8Array, Uint8Array> {
    const given = own(options);
    const pairs = contextPairs(given.context ?? {});
    return messageStream((sink) => this.#encryption(given, pairs, undefined, sink), given);
  }

  /** A stream that decrypts the message written to it. */
  decryptStream(options: DecryptOptions): TransformStream<Uint8Array, Uint8Array> {
    const given = own(options);
    return messageStream((sink) => this.#decryption(given, sink), given);
  }

  /** Opens a message of which parts are wanted. Header and final frame are verified before this gives it. */
  async open(given: Openable, options: DecryptOptions): Promise<OpenedMessage> {
    const { context = {}, signal } = own(options);
    const required = contextPairs(context);
    const source = await sourceOf(given, signal);
    const header = await this.#headerOf(source, signal);
    let layout: FrameLayout | undefined;
    try {
      // First, since a length that no message has costs no ticket.
      layout = guarded(() => header.layout(source.size - header.length));
      const { handle, lease } = await this.#openingKey(header, required, signal);
      const reader = guarded(() => header.openFrames(handle));
      const { frameLength, length: begin } = header;
      const parts = { source, begin, reader, layout, frameLength, lease, onClose: () => this.#leases.finish(lease) };
      layout = undefined;
      return await OpenedMessage.verified(parts, signal);
    } finally {
      layout?.free();
      header.free();
    }
  }

  #encryption(options: EncryptOptions, pairs: string[], bytes: number | undefined, sink: Sink): Pump {
    if (options.signed) return this.#signedEncryption(options, pairs, sink);
    return new LazyPump(async () => {
      const { handle, lease } = await this.#sealingKey(options, pairs, { messages: 1, bytes });
      const coder = new SealFrames(guarded(() => handle.sealFrames()), sink);
      return new Work(coder, lease, sink, () => this.#leases.finish(lease));
    });
  }

  /** The signer's public key is a part of the context, so that such a message has a data key of its own. */
  #signedEncryption(options: EncryptOptions, pairs: string[], sink: Sink): Pump {
    return new LazyPump(async () => {
      const signer = guarded(() => new this.#wasm.Signer());
      const context = [...pairs, ...signer.pair];
      await this.#ready();
      const demand = { messages: 1, bytes: undefined };
      const { handle, lease, encryptedDataKey } = await this.#dataKeys.forEncryption(options.key, context, demand, options.signal);
      lease.check();
      const encryptor = guarded(() => new this.#wasm.SignedEncryptor(handle, encryptedDataKey, context, signer));
      return new Work(new HereCoder(encryptor, sink), lease, sink, () => this.#leases.finish(lease));
    });
  }

  #decryption(options: DecryptOptions, sink: Sink): Pump {
    const required = contextPairs(options.context ?? {});
    return new HeaderPump(new this.#wasm.HeaderReader(), async (header) => {
      const { handle, lease } = await this.#openingKey(header, required, options.signal);
      const coder = new OpenFrames(guarded(() => header.openFrames(handle)), header.frameLength ?? Infinity, sink);
      return new Work(coder, lease, sink, () => this.#leases.finish(lease));
    });
  }

  /** A key that is ready to encrypt, and may until the current task ends. */
  async #sealingKey(options: EncryptOptions, pairs: string[], demand: Demand): Promise<HeldKey> {
    await this.#ready();
    const key = await this.#dataKeys.forEncryption(options.key, pairs, demand, options.signal);
    key.lease.check();
    return prepared(key, pairs);
  }

  /** Encrypts a small message in one call. With a key at hand nothing is waited for. */
  async #sealHere(data: Uint8Array, pairs: string[], options: EncryptOptions): Promise<Uint8Array> {
    const demand = { messages: 1, bytes: data.length };
    options.signal?.throwIfAborted();
    const warm = this.#dataKeys.warmForEncryption(options.key, pairs, demand);
    const { handle } = warm ? prepared(warm, pairs) : await this.#sealingKey(options, pairs, demand);
    const message = guarded(() => handle.seal(data));
    options.onProgress?.(data.length);
    return message;
  }

  /** Decrypts a small message, or a signed one, in one call. */
  async #openHere(header: MessageHeader, message: Uint8Array, required: string[], options: DecryptOptions): Promise<Uint8Array> {
    options.signal?.throwIfAborted();
    const warm = this.#warmKey(header, required);
    const { handle } = warm ?? (await this.#openingKey(header, required, options.signal));
    const plaintext = guarded(() => handle.open(message));
    options.onProgress?.(plaintext.length);
    return plaintext;
  }

  /** The message's data key, if it is at hand. */
  #warmKey(header: MessageHeader, required: string[]): HeldKey | undefined {
    const encryptedDataKey = guarded(() => header.encryptedDataKey);
    if (required.length > 0) requirePairs(header.context, required);
    return this.#dataKeys.warmForDecryption(encryptedDataKey);
  }

  /** The message's data key, whose lease has not ended. */
  async #openingKey(header: MessageHeader, required: string[], signal?: AbortSignal): Promise<HeldKey> {
    const sealed: SealedKey = guarded(() => ({
      key: header.keyId,
      version: header.keyVersion,
      encryptedDataKey: header.encryptedDataKey,
      pairs: header.context,
    }));
    requirePairs(sealed.pairs, required);
    await this.#ready();
    const held = await this.#dataKeys.forDecryption(sealed, signal);
    held.lease.check();
    return held;
  }

  /** The header of a message that is elsewhere. */
  async #headerOf(source: MessageSource, signal?: AbortSignal): Promise<MessageHeader> {
    const reader = new this.#wasm.HeaderReader();
    try {
      for (let at = 0; at < Math.min(source.size, LONGEST_HEADER); ) {
        const end = Math.min(source.size, at === 0 ? USUAL_HEADER : LONGEST_HEADER);
        const bytes = await source.read(at, end, signal);
        const header = guarded(() => reader.push(bytes));
        if (header) return header;
        at = end;
      }
      throw fromWasm('message_truncated');
    } finally {
      reader.free();
    }
  }

  /** The header of a message that is all there. */
  #header(message: Uint8Array): MessageHeader {
    const reader = new this.#wasm.HeaderReader();
    try {
      const header = guarded(() => reader.push(message.subarray(0, LONGEST_HEADER)));
      if (!header) throw fromWasm('message_truncated');
      return header;
    } finally {
      reader.free();
    }
  }
}

/** A key ready to encrypt. Its context was encoded when it was first used. */
function prepared(key: EncryptionKey, pairs: string[]): HeldKey {
  const { handle, encryptedDataKey } = key;
  if (!handle.prepared) guarded(() => handle.prepare(encryptedDataKey, pairs));
  return key;
}

/** Refuses a message whose context lacks a pair that the application requires. */
function requirePairs(pairs: readonly string[], required: readonly string[]): void {
  const [has, needs] = [contextFromPairs(pairs), contextFromPairs(required)];
  if (Object.entries(needs).some(([key, value]) => has[key] !== value)) {
    throw new IntegrityError('context_mismatch', 'the message is about something else than was asked for');
  }
}

/** Longer than most headers. */
const USUAL_HEADER = 4096;
/** The reader's limit for a header, so that a long message is not copied. */
const LONGEST_HEADER = 64 * 1024 + 16;
