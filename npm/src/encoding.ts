/** Texts and bytes, strictly: what is not well formed is refused, never repaired. */

import { IntegrityError, KeyhavenError } from './errors.js';

/** Bytes that own their memory, as WebCrypto wants them. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** What a message is about: authenticated, not secret, and byte-exact. */
export type EncryptionContext = Readonly<Record<string, string>>;

/** Padded base64. */
export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(text);
}

/** Reads padded base64 in its one canonical spelling. */
export function fromBase64(text: string): Bytes {
  let binary;
  try {
    binary = atob(text);
  } catch {
    throw new IntegrityError('answer_malformed', 'the answer holds bytes that are not base64');
  }
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  if (btoa(binary) !== text) {
    throw new IntegrityError('answer_malformed', 'the answer holds bytes that are not base64');
  }
  return bytes;
}

/** Bytes in lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Joins pieces. */
export function joined(pieces: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * The context as keys and values by turns. Lone surrogates are refused: turned into UTF-8, different
 * ones would become the same replacement character.
 */
export function contextPairs(context: EncryptionContext): string[] {
  const pairs = Object.entries(context).flat();
  for (const text of pairs) {
    if (typeof text !== 'string' || LONE_SURROGATE.test(text)) {
      throw new KeyhavenError('context_malformed', 'keys and values of an encryption context are well-formed strings');
    }
  }
  return pairs;
}

/** The inverse of {@link contextPairs}. No key is special, `__proto__` neither. */
export function contextFromPairs(pairs: readonly string[]): EncryptionContext {
  const context: Record<string, string> = Object.create(null);
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    context[pairs[at] as string] = pairs[at + 1] as string;
  }
  return context;
}

const LONE_SURROGATE = /\p{Surrogate}/u;
