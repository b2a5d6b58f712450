/** What a message says of itself. */

import { type EncryptionContext, contextFromPairs, toHex } from './encoding.js';
import { guarded } from './errors.js';
import { type Wasm, type WasmSource, loadWasm } from './wasm.js';

/** A message's header, **unverified**: only decrypting tells whether it is genuine. */
export interface MessageInfo {
  /** The id of the key. */
  readonly keyId: string;
  /** The version of that key: after a rotation, new messages name the new one. */
  readonly keyVersion: number;
  /** What the message is about. */
  readonly context: EncryptionContext;
  /** The message's random id, in hex. */
  readonly messageId: string;
  /** Whether it ends with a signature. */
  readonly signed: boolean;
  /** Plaintext bytes in each frame; `undefined` when the body is in one piece. */
  readonly frameLength: number | undefined;
}

/** What the entry points' `inspect` does, with the platform's own source of the Wasm module. */
export async function inspectWith(source: WasmSource, message: Uint8Array): Promise<MessageInfo | undefined> {
  return describe(await loadWasm(source), message);
}

/** As {@link inspectWith}, with the module at hand. */
export function describe(wasm: Wasm, message: Uint8Array): MessageInfo | undefined {
  const reader = new wasm.HeaderReader();
  // The reader's limit for a header, so that a long message is not copied.
  const header = guarded(() => reader.push(message.subarray(0, LONGEST_HEADER)));
  reader.free();
  if (!header) return undefined;
  try {
    return guarded(() => ({
      keyId: header.keyId,
      keyVersion: header.keyVersion,
      context: contextFromPairs(header.context),
      messageId: toHex(header.messageId),
      signed: header.signed,
      frameLength: header.frameLength,
    }));
  } finally {
    header.free();
  }
}

const LONGEST_HEADER = 64 * 1024 + 16;
