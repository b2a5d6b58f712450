/** Messages: how each is encrypted and decrypted, with whichever data key and coder it takes. */

import type { FrameLayout, MessageHeader } from '../wasm/keyhaven_sdk.js';
import type { Coder, Sink } from './coders.js';
import { fewerThanWebCrypto } from './crossover.js';
import { DataKey } from './data-key.js';
import type { DataKeys, Demand } from './data-keys.js';
import { contextPairs } from './encoding.js';
import { KeyhavenError, fromWasm, guarded } from './errors.js';
import { Here, LONGEST_HEADER, USUAL_HEADER, prepared, requirePairs } from './here.js';
import type { EncryptionKey, HeldKey } from './key-cache.js';
import type { SealedKey } from './key-requests.js';
import type { Leases } from './leases.js';
import type { DataKeyOptions, DecryptOptions, EncryptOptions } from './message-options.js';
import { OpenFrames } from './open-frames.js';
import { OpenedMessage } from './opened-message.js';
import { own } from './platform.js';
import { HeaderPump, LazyPump, type Pump, whole } from './pumps.js';
import { SealFrames } from './seal-frames.js';
import { MessageSigner, SignFrames, verified, verifyingKey } from './signatures.js';
import { type MessageSource, type Openable, sourceOf } from './sources.js';
import { Work, messageStream } from './streams.js';
import type { Wasm } from './wasm.js';

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
  readonly #parts: MessagesParts;
  readonly #here: Here;

  constructor(parts: MessagesParts) {
    this.#parts = parts;
    this.#here = new Here(parts.wasm, parts.dataKeys);
  }

  /** Encrypts data to a message. With a key at hand, a small one waits for nothing. */
  async encrypt(data: Uint8Array, options: EncryptOptions): Promise<Uint8Array> {
    const given = own(options);
    const pairs = contextPairs(given.context ?? {});
    if (given.signed || !fewerThanWebCrypto(data.length)) {
      return whole((sink) => this.#encryption(given, pairs, data.length, sink), data, given);
    }
    given.signal?.throwIfAborted();
    let message = this.#here.seal(data, given.key, pairs);
    if (!message) {
      const key = await this.#sealingKey(given, pairs, { messages: 1, bytes: data.length });
      message = guarded(() => prepared(key, pairs).seal(data));
    }
    given.onProgress?.(data.length);
    return message;
  }

  /** Encrypts each to a message of its own, all under one data key, which is asked for once. */
  async encryptMany(records: readonly Uint8Array[], options: EncryptOptions): Promise<Uint8Array[]> {
    const given = own(options);
    if (given.signed) throw new KeyhavenError('invalid_argument', 'signed messages cannot share a data key');
    if (records.length === 0) return [];
    const pairs = contextPairs(given.context ?? {});
    const bytes = records.reduce((sum, record) => sum + record.length, 0);
    const key = await this.#sealingKey(given, pairs, { messages: records.length, bytes });
    const handle = prepared(key, pairs);
    // The handle is good until the current task ends: large ones begin now, too, and go on under its lease.
    const works = records.map((record) => {
      if (fewerThanWebCrypto(record.length)) return Promise.resolve(guarded(() => handle.seal(record)));
      const writer = guarded(() => handle.sealFrames());
      return whole((sink) => begun(this.#work(new SealFrames(writer, sink), key, sink)), record, { signal: given.signal });
    });
    return counted(works, records, given.onProgress);
  }

  /** Decrypts a message. Nothing is given out unless all of it is genuine. */
  async decrypt(message: Uint8Array, options: DecryptOptions): Promise<Uint8Array> {
    const given = own(options);
    const required = contextPairs(given.context ?? {});
    given.signal?.throwIfAborted();
    const alike = this.#here.openAlike(message, required);
    if (alike) {
      given.onProgress?.(alike.length);
      return alike;
    }
    const header = this.#here.header(message);
    try {
      const verifier = header.signed ? await verifyingKey(header.context) : undefined;
      const key = this.#here.warm(header, required) ?? (await this.#openingKey(header, required, given.signal));
      const body = message.subarray(header.length);
      if (!verifier && !fewerThanWebCrypto(body.length)) {
        const reader = guarded(() => header.openFrames(key.handle));
        const frameLength = header.frameLength ?? Infinity;
        return await whole((sink) => begun(this.#work(new OpenFrames(reader, frameLength, sink), key, sink)), body, given);
      }
      const { handle } = key;
      const plaintext = verifier ? await verified(verifier, message, guarded(() => handle.openSigned(message))) : guarded(() => handle.open(message));
      this.#here.opened(message, header, required);
      given.onProgress?.(plaintext.length);
      return plaintext;
    } finally {
      header.free();
    }
  }

  /** Decrypts each message, and says of each what came of it. A data key that is not at hand is asked for once. */
  async decryptMany(messages: readonly Uint8Array[], options: DecryptOptions): Promise<PromiseSettledResult<Uint8Array>[]> {
    const { onProgress, ...given } = own(options);
    let done = 0;
    const each = messages.map(async (message) => {
      const plaintext = await this.decrypt(message, given);
      onProgress?.((done += plaintext.length));
      return plaintext;
    });
    return Promise.allSettled(each);
  }

  /** A data key at hand. */
  async dataKey(options: DataKeyOptions): Promise<DataKey> {
    const { key, context = {}, decrypt = false, signal } = own(options);
    const pairs = contextPairs(context);
    const held = await this.#sealingKey({ key, ...(signal && { signal }) }, pairs, { messages: 0, bytes: 0 });
    const { handle: { keyId, keyVersion: version }, encryptedDataKey } = held;
    if (decrypt) await this.#parts.dataKeys.forDecryption({ key: keyId, version, encryptedDataKey, pairs }, signal);
    return new DataKey(this.#here, key, pairs);
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
      const parts = { source, begin, reader, layout, frameLength, lease, onClose: () => this.#parts.leases.finish(lease) };
      layout = undefined;
      return await OpenedMessage.verified(parts, signal);
    } finally {
      layout?.free();
      header.free();
    }
  }

  #encryption(options: EncryptOptions, pairs: string[], bytes: number | undefined, sink: Sink): Pump {
    if (options.signed) return this.#signing(options, pairs, sink);
    return new LazyPump(async () => {
      const key = await this.#sealingKey(options, pairs, { messages: 1, bytes });
      return this.#work(new SealFrames(guarded(() => prepared(key, pairs).sealFrames()), sink), key, sink);
    });
  }

  /** The signature's key is a part of the context, so that the data key is of no use for another message. */
  #signing(options: EncryptOptions, pairs: string[], sink: Sink): Pump {
    return new LazyPump(async () => {
      const signer = await MessageSigner.make();
      const all = [...pairs, ...signer.pair];
      const key = await this.#sealingKey(options, all, { messages: 1, bytes: undefined });
      const writer = guarded(() => prepared(key, all).sealSignedFrames());
      return this.#work(new SignFrames(this.#parts.wasm, writer, signer, sink), key, sink);
    });
  }

  #decryption(options: DecryptOptions, sink: Sink): Pump {
    const required = contextPairs(options.context ?? {});
    return new HeaderPump(new this.#parts.wasm.HeaderReader(), async (header) => {
      const key = await this.#openingKey(header, required, options.signal);
      const reader = guarded(() => header.openFrames(key.handle));
      return this.#work(new OpenFrames(reader, header.frameLength ?? Infinity, sink), key, sink);
    });
  }

  #work(coder: Coder, { lease }: HeldKey, sink: Sink): Work {
    return new Work(coder, lease, sink, () => this.#parts.leases.finish(lease));
  }

  /** A key that may encrypt until the current task ends. */
  async #sealingKey(options: EncryptOptions, pairs: string[], demand: Demand): Promise<EncryptionKey> {
    const { dataKeys, ready } = this.#parts;
    const { messages, bytes } = demand;
    const warm = bytes === undefined ? undefined : dataKeys.warmForEncryption(options.key, pairs, { messages, bytes });
    if (warm) return warm;
    await ready();
    const key = await dataKeys.forEncryption(options.key, pairs, demand, options.signal);
    key.lease.check();
    return key;
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
    await this.#parts.ready();
    const held = await this.#parts.dataKeys.forDecryption(sealed, signal);
    held.lease.check();
    return held;
  }

  /** The header of a message that is elsewhere. */
  async #headerOf(source: MessageSource, signal?: AbortSignal): Promise<MessageHeader> {
    const reader = new this.#parts.wasm.HeaderReader();
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
}

/** A pump whose work has begun. */
function begun(work: Work): Pump {
  return new LazyPump(() => Promise.resolve(work));
}

/** All of them; tells after each, in their order, how many bytes are done. */
async function counted(works: readonly Promise<Uint8Array>[], records: readonly Uint8Array[], tell?: (bytes: number) => void): Promise<Uint8Array[]> {
  const all = Promise.all(works);
  // Whoever waits for it below hears of it, unless `tell` itself fails before.
  all.catch(() => undefined);
  let done = 0;
  for (const [at, work] of works.entries()) {
    if (!tell) break;
    // A failure is the whole's, below.
    if (await work.then(() => true, () => false)) tell((done += records[at]?.length ?? 0));
  }
  return all;
}
