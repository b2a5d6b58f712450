/** This device: key pairs made here, whose private halves never leave the platform. */

import type { DataKeyHandle, Delivery, DeviceKeys } from '../wasm/keyhaven_sdk.js';
import type { Bytes } from './encoding.js';
import { guarded } from './errors.js';
import { copied, own, subtle } from './platform.js';
import { Sealing, type SealingChoice, makeSealing } from './sealing.js';
import type { StoredDevice } from './storage.js';
import type { Wasm } from './wasm.js';

/** Signs requests, and opens what is sealed to it. */
export class Device {
  /** The thumbprint of the public keys: the id under which the server knows this device. */
  readonly id: string;
  /** The public keys, as the server wants them. */
  readonly publicKeys: Uint8Array;
  readonly #signingKey: CryptoKey;
  readonly #sealing: Sealing;
  readonly #authentication: Uint8Array;

  private constructor(stored: StoredDevice, sealing: Sealing, authentication: Uint8Array, keys: DeviceKeys) {
    this.id = keys.id;
    this.publicKeys = keys.encode();
    this.#signingKey = stored.authentication.privateKey;
    this.#sealing = sealing;
    this.#authentication = authentication;
  }

  /** Takes up a device whose keys were made before. */
  static async restore(wasm: Wasm, stored: StoredDevice): Promise<Device> {
    const exported = subtle.exportKey('raw', stored.authentication.publicKey);
    const sealing = await Sealing.restore(wasm, stored.sealing);
    const authentication = new Uint8Array(await exported);
    const keys = deviceKeys(wasm, sealing, authentication);
    try {
      return new Device(stored, sealing, authentication, keys);
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
    return deviceKeys(wasm, this.#sealing, this.#authentication);
  }

  /** Opens a verified delivery. */
  open(delivery: Delivery): Promise<DataKeyHandle> {
    return this.#sealing.open(delivery);
  }

  /** Zeroizes what the Wasm module holds of its private keys; it opens nothing after that. */
  free(): void {
    this.#sealing.free();
  }
}

/** Makes the keys of a new device. */
export async function makeDeviceKeys(wasm: Wasm, choice: SealingChoice): Promise<StoredDevice> {
  const made = subtle.generateKey(own({ name: 'ECDSA', namedCurve: 'P-256' }), false, ['sign', 'verify']);
  const [authentication, sealing] = await Promise.all([made, makeSealing(wasm, choice)]);
  return { authentication, sealing };
}

function deviceKeys(wasm: Wasm, { suite, publicKey }: Sealing, authentication: Uint8Array): DeviceKeys {
  return guarded(() => new wasm.DeviceKeys(suite, publicKey, authentication));
}

const SIGN = own({ name: 'ECDSA', hash: 'SHA-256' });
