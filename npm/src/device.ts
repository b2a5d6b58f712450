/** This device: two key pairs made here, whose private halves never leave the platform. */

import type { DataKeyHandle, Delivery, DeviceKeys, FallbackKey } from '../wasm/keyhaven_sdk.js';
import type { Bytes } from './encoding.js';
import { guarded } from './errors.js';
import { copied, has, own, subtle, wipe } from './platform.js';
import type { FallbackSealing, StoredDevice } from './storage.js';
import type { Wasm } from './wasm.js';

/** Signs requests, and opens what is sealed to it. */
export class Device {
  /** The thumbprint of the public keys: the id under which the server knows this device. */
  readonly id: string;
  /** The public keys, as the server wants them. */
  readonly publicKeys: Uint8Array;
  readonly #signingKey: CryptoKey;
  readonly #agree: Agree;
  readonly #raw: readonly [sealing: Uint8Array, authentication: Uint8Array];

  private constructor(stored: StoredDevice, agree: Agree, keys: DeviceKeys, raw: [Uint8Array, Uint8Array]) {
    this.id = keys.id;
    this.publicKeys = keys.encode();
    this.#signingKey = stored.authentication.privateKey;
    this.#agree = agree;
    this.#raw = raw;
  }

  /** Takes up a device whose keys were made before. */
  static async restore(wasm: Wasm, stored: StoredDevice): Promise<Device> {
    const authentication = await publicBytes(stored.authentication);
    const { sealing } = stored;
    let agree: Agree;
    let sealingPublic: Uint8Array;
    if (has(sealing, 'guard')) {
      sealingPublic = sealing.publicKey;
      const fallback = await openFallback(wasm, sealing);
      agree = async (delivery) => guarded(() => delivery.openWithFallback(fallback));
    } else {
      sealingPublic = await publicBytes(sealing);
      agree = (delivery) => openByPlatform(sealing.privateKey, delivery);
    }
    const keys = guarded(() => new wasm.DeviceKeys(sealingPublic, authentication));
    try {
      return new Device(stored, agree, keys, [sealingPublic, authentication]);
    } finally {
      keys.free();
    }
  }

  /** ECDSA P-256 with SHA-256: 64 bytes, r and s. */
  async sign(bytes: Uint8Array): Promise<Bytes> {
    return new Uint8Array(await subtle.sign(SIGN, this.#signingKey, copied(bytes)));
  }

  /** The public keys as the Wasm module works with them; the caller frees them. */
  publicKeysIn(wasm: Wasm): DeviceKeys {
    return guarded(() => new wasm.DeviceKeys(...this.#raw));
  }

  /** Opens a verified delivery. */
  open(delivery: Delivery): Promise<DataKeyHandle> {
    return this.#agree(delivery);
  }
}

/** Makes the keys of a new device. */
export async function makeDeviceKeys(wasm: Wasm): Promise<StoredDevice> {
  const authentication = await subtle.generateKey(own({ name: 'ECDSA', namedCurve: 'P-256' }), false, ['sign', 'verify']);
  return { authentication, sealing: await makeSealing(wasm) };
}

/** How the platform opens a delivery: the key agreement happens where the private key is. */
type Agree = (delivery: Delivery) => Promise<DataKeyHandle>;

async function makeSealing(wasm: Wasm): Promise<CryptoKeyPair | FallbackSealing> {
  try {
    return (await subtle.generateKey(X25519, false, ['deriveBits'])) as CryptoKeyPair;
  } catch (error) {
    if ((error as DOMException).name !== 'NotSupportedError') throw error;
    return makeFallback(wasm);
  }
}

async function openByPlatform(privateKey: CryptoKey, delivery: Delivery): Promise<DataKeyHandle> {
  const ephemeral = await subtle.importKey('raw', copied(delivery.enc), X25519, true, []);
  const agreement = own({ name: 'X25519', public: ephemeral });
  const agreed = await subtle.deriveBits(agreement, privateKey, 256).catch(() => new ArrayBuffer(32));
  const secret = new Uint8Array(agreed);
  try {
    return guarded(() => delivery.open(secret));
  } finally {
    wipe(secret);
  }
}

async function makeFallback(wasm: Wasm): Promise<FallbackSealing> {
  const guard = (await subtle.generateKey(own({ name: 'HMAC', hash: 'SHA-256' }), false, ['sign'])) as CryptoKey;
  const key = guarded(() => wasm.FallbackKey.make());
  const secret = await guardSecret(guard);
  try {
    return { publicKey: key.publicKey, sealed: guarded(() => key.seal(secret)), guard };
  } finally {
    wipe(secret);
    key.free();
  }
}

async function openFallback(wasm: Wasm, kept: FallbackSealing): Promise<FallbackKey> {
  const secret = await guardSecret(kept.guard);
  try {
    return guarded(() => wasm.FallbackKey.restore(secret, kept.sealed));
  } finally {
    wipe(secret);
  }
}

/** What the private key at rest is sealed under; only this browser profile can compute it. */
async function guardSecret(guard: CryptoKey): Promise<Bytes> {
  return new Uint8Array(await subtle.sign('HMAC', guard, new TextEncoder().encode(GUARDED)));
}

async function publicBytes(pair: CryptoKeyPair): Promise<Uint8Array> {
  return new Uint8Array(await subtle.exportKey('raw', pair.publicKey));
}

const SIGN = own({ name: 'ECDSA', hash: 'SHA-256' });
const X25519 = own({ name: 'X25519' });
const GUARDED = 'keyhaven/v1/stored-device-key';
