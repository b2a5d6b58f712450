/** Signatures of messages (suite 0x0578): ECDSA P-384 with SHA-384 by WebCrypto, each by a key made for the one message. */

import type { FrameWriter, UnverifiedMessage } from '../wasm/keyhaven_sdk.js';
import type { Coder, Sink } from './coders.js';
import { fromBase64, joined, toBase64 } from './encoding.js';
import { fromWasm, guarded } from './errors.js';
import { copied, own, subtle } from './platform.js';
import { SealFrames } from './seal-frames.js';
import type { Wasm } from './wasm.js';

/** The key that signs one message. Made before the data key is asked for, since its public half is a part of the context. */
export class MessageSigner {
  /** Key and value that the message's context holds. */
  readonly pair: readonly [string, string];
  readonly #key: CryptoKey;

  private constructor(key: CryptoKey, point: Uint8Array) {
    this.#key = key;
    const compressed = point.slice(0, 1 + FIELD);
    compressed[0] = EVEN | ((point.at(-1) as number) & 1);
    this.pair = [CONTEXT_KEY, toBase64(compressed)];
  }

  /** Makes a key that nobody can extract. */
  static async make(): Promise<MessageSigner> {
    const { privateKey, publicKey } = (await subtle.generateKey(KEY, false, ['sign', 'verify'])) as CryptoKeyPair;
    return new MessageSigner(privateKey, new Uint8Array(await subtle.exportKey('raw', publicKey)));
  }

  /** Signs: r ‖ s, 96 bytes. */
  async sign(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    return new Uint8Array(await subtle.sign(ECDSA, this.#key, bytes));
  }
}

/** Encrypts a message in frames and signs it. What was written is kept until the end: WebCrypto signs only what is all there. */
export class SignFrames implements Coder {
  readonly #wasm: Wasm;
  readonly #frames: SealFrames;
  readonly #signer: MessageSigner;
  readonly #sink: Sink;
  #written: Uint8Array[] = [];

  constructor(wasm: Wasm, writer: FrameWriter, signer: MessageSigner, sink: Sink) {
    this.#wasm = wasm;
    this.#signer = signer;
    this.#sink = sink;
    this.#frames = new SealFrames(writer, {
      ...sink,
      emit: (piece) => {
        // Whoever takes the piece may change it.
        this.#written.push(copied(piece));
        sink.emit(piece);
      },
    });
  }

  push(bytes: Uint8Array): Promise<void> {
    return this.#frames.push(bytes);
  }

  async finish(rest?: Uint8Array): Promise<void> {
    await this.#frames.finish(rest);
    const signature = await this.#signer.sign(joined(this.#written));
    this.#sink.emit(guarded(() => this.#wasm.signatureEnd(signature)) as Uint8Array<ArrayBuffer>);
  }

  free(): void {
    this.#written = [];
    this.#frames.free();
  }
}

/** The key that a message's context names, to verify its signature with. */
export async function verifyingKey(pairs: readonly string[]): Promise<CryptoKey> {
  const at = pairs.findIndex((text, index) => index % 2 === 0 && text === CONTEXT_KEY);
  try {
    const point = decompressed(fromBase64(pairs[at + 1] ?? ''));
    return await subtle.importKey('raw', point, KEY, false, ['verify']);
  } catch {
    throw fromWasm('message_malformed');
  }
}

/** A signed message's plaintext, if the signature is good. `opened` is freed. */
export async function verified(key: CryptoKey, message: Uint8Array, opened: UnverifiedMessage): Promise<Uint8Array> {
  const { signature, covered } = opened;
  // WebCrypto has taken a copy of the message when this returns, so that nobody can change it in between.
  const verification = subtle.verify(ECDSA, key, signature as Uint8Array<ArrayBuffer>, message.subarray(0, covered) as Uint8Array<ArrayBuffer>);
  let plaintext: Uint8Array | undefined;
  try {
    if (await verification) plaintext = opened.release();
  } finally {
    if (!plaintext) opened.free();
  }
  if (!plaintext) throw fromWasm('message_refused');
  return plaintext;
}

/**
 * The point 04 ‖ x ‖ y of a compressed one (SEC 1 §2.3.4), which not every WebCrypto takes. These are public numbers;
 * that the point is on the curve, WebCrypto checks when it imports it.
 */
function decompressed(point: Uint8Array): Uint8Array<ArrayBuffer> {
  if (point.length !== 1 + FIELD || ((point[0] as number) & ~1) !== EVEN) throw fromWasm('message_malformed');
  const digits = (bytes: Uint8Array) => BigInt(`0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`);
  const x = digits(point.subarray(1));
  const root = power((((x * x - 3n) % P) * x + B) % P, (P + 1n) / 4n);
  const y = (root & 1n) === BigInt((point[0] as number) & 1) ? root : P - root;
  const whole = new Uint8Array(1 + 2 * FIELD);
  whole.set(point);
  whole[0] = UNCOMPRESSED;
  for (let [at, rest] = [2 * FIELD, y]; at > FIELD; at--, rest >>= 8n) whole[at] = Number(rest & 255n);
  return whole;
}

/** `base` to the `exponent`, modulo {@link P}. */
function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let [square, rest] = [base, exponent]; rest > 0n; square = (square * square) % P, rest >>= 1n) {
    if (rest & 1n) result = (result * square) % P;
  }
  return result;
}

const CONTEXT_KEY = 'aws-crypto-public-key';
const KEY = own({ name: 'ECDSA', namedCurve: 'P-384' });
const ECDSA = own({ name: 'ECDSA', hash: own({ name: 'SHA-384' }) });
/** Bytes of a coordinate. */
const FIELD = 48;
const EVEN = 2;
const UNCOMPRESSED = 4;
/** The field's modulus and the curve's b (SP 800-186 §3.2.1.4); a is −3. */
const P = 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n;
const B = 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn;
