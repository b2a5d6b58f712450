/**
 * The keys that data keys are sealed to. X25519 is kept by WebCrypto where it can, so that no script reads
 * the private key out; ML-KEM-768, which WebCrypto has nowhere for sure, by the Wasm module.
 */

import type { DataKeyHandle, Delivery, ModuleKeys } from '../wasm/keyhaven_sdk.js';
import { type Bytes, joined } from './encoding.js';
import { guarded } from './errors.js';
import { copied, has, own, subtle, wipe } from './platform.js';
import type { SealedKeys, StoredSealing } from './storage.js';
import type { Wasm } from './wasm.js';

/** How data keys are sealed to a new device: X25519 alone, or together with ML-KEM-768. */
export type SealingChoice = 'hybrid' | 'classical';

/** A device's sealing keys, ready to open deliveries. */
export class Sealing {
  /** The suite's code: 1 is X25519, 2 is MLKEM768-X25519. */
  readonly suite: number;
  /** The public key, as the suite has it. */
  readonly publicKey: Uint8Array;
  readonly #module: ModuleKeys | undefined;
  readonly #platform: CryptoKey | undefined;

  private constructor(suite: number, publicKey: Uint8Array, module?: ModuleKeys, platform?: CryptoKey) {
    this.suite = suite;
    this.publicKey = publicKey;
    this.#module = module;
    this.#platform = platform;
  }

  /** Takes up keys that were made before. */
  static async restore(wasm: Wasm, stored: StoredSealing): Promise<Sealing> {
    if (has(stored, 'privateKey')) {
      return new Sealing(CLASSICAL, await publicBytes(stored), undefined, stored.privateKey);
    }
    if (has(stored, 'guard')) return new Sealing(CLASSICAL, stored.publicKey, await unsealed(wasm, stored));
    const { x25519, module } = own(stored);
    const publicKey = x25519 ? joined([module.publicKey, await publicBytes(x25519)]) : module.publicKey;
    return new Sealing(HYBRID, publicKey, await unsealed(wasm, module), x25519?.privateKey);
  }

  /** Opens a verified delivery: the key agreement happens where the private key is. */
  async open(delivery: Delivery): Promise<DataKeyHandle> {
    const [module, platform] = [this.#module, this.#platform];
    if (!platform) return guarded(() => delivery.openWith(module as ModuleKeys));
    const secret = await agreed(platform, delivery.share);
    try {
      return guarded(() => (module ? delivery.openWith(module, secret) : delivery.open(secret)));
    } finally {
      wipe(secret);
    }
  }

  /** Zeroizes what the Wasm module holds of them. */
  free(): void {
    this.#module?.free();
  }
}

/** Makes the sealing keys of a new device. */
export async function makeSealing(wasm: Wasm, choice: SealingChoice): Promise<StoredSealing> {
  const x25519 = await makeX25519();
  if (choice === 'classical') return x25519 ?? makeModuleKeys(wasm, false, true);
  return { module: await makeModuleKeys(wasm, true, !x25519), ...(x25519 && { x25519 }) };
}

/** `undefined` where the platform has none. */
async function makeX25519(): Promise<CryptoKeyPair | undefined> {
  try {
    return (await subtle.generateKey(X25519, false, ['deriveBits'])) as CryptoKeyPair;
  } catch (error) {
    if ((error as DOMException).name !== 'NotSupportedError') throw error;
    return undefined;
  }
}

async function makeModuleKeys(wasm: Wasm, mlKem: boolean, x25519: boolean): Promise<SealedKeys> {
  const guard = (await subtle.generateKey(own({ name: 'HMAC', hash: 'SHA-256' }), false, ['sign'])) as CryptoKey;
  const keys = guarded(() => wasm.ModuleKeys.make(mlKem, x25519));
  const secret = await guardSecret(guard);
  try {
    return { publicKey: keys.publicKey, sealed: guarded(() => keys.seal(secret)), guard };
  } finally {
    wipe(secret);
    keys.free();
  }
}

async function unsealed(wasm: Wasm, kept: SealedKeys): Promise<ModuleKeys> {
  const secret = await guardSecret(kept.guard);
  try {
    return guarded(() => wasm.ModuleKeys.restore(secret, kept.sealed));
  } finally {
    wipe(secret);
  }
}

/** What private keys at rest are sealed under; only this browser profile can compute it. */
async function guardSecret(guard: CryptoKey): Promise<Bytes> {
  return new Uint8Array(await subtle.sign('HMAC', guard, new TextEncoder().encode(GUARDED)));
}

/** X25519 with the sender's share. A share of low order, which the platform refuses, gives zeros, which the module refuses. */
async function agreed(privateKey: CryptoKey, share: Uint8Array): Promise<Bytes> {
  const ephemeral = await subtle.importKey('raw', copied(share), X25519, true, []);
  const agreement = own({ name: 'X25519', public: ephemeral });
  const bits = await subtle.deriveBits(agreement, privateKey, 256).catch(() => new ArrayBuffer(32));
  return new Uint8Array(bits);
}

async function publicBytes(pair: CryptoKeyPair): Promise<Uint8Array> {
  return new Uint8Array(await subtle.exportKey('raw', pair.publicKey));
}

const X25519 = own({ name: 'X25519' });
const GUARDED = 'keyhaven/v1/stored-device-key';
const CLASSICAL = 1;
const HYBRID = 2;
