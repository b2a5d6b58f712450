/** Where a device's keys are kept between visits: as `CryptoKey` objects, whose bytes nobody can read. */

import { UnsupportedError } from './errors.js';
import { transact } from './indexed-db.js';

/** Private keys that WebCrypto cannot keep: sealed, and opened only inside the Wasm module. */
export interface SealedKeys {
  /** Their public keys. */
  readonly publicKey: Uint8Array;
  /** The private keys, encrypted under a secret that only {@link guard} can compute. */
  readonly sealed: Uint8Array;
  /** A non-extractable HMAC key. */
  readonly guard: CryptoKey;
}

/** The keys of the hybrid suite: ML-KEM-768 and X25519. */
export interface HybridKeys {
  /** ML-KEM-768; and X25519 where the platform has none. */
  readonly module: SealedKeys;
  /** X25519, not extractable. */
  readonly x25519?: CryptoKeyPair;
}

/** What data keys are sealed to; without ML-KEM-768, X25519 as the platform or the Wasm module keeps it. */
export type StoredSealing = HybridKeys | CryptoKeyPair | SealedKeys;

/** What enrolment told this device. */
export interface Enrolment {
  /** Bound into everything sealed to this device. */
  readonly epoch: number;
  /** The installation's id. */
  readonly deployment: string;
  /** The installation's issuer key (Ed25519, base64): every delivery and event is verified by it. */
  readonly issuer: string;
}

/** A device's keys, and its enrolment once it has one. */
export interface StoredDevice {
  /** ECDSA P-256, not extractable: proves that requests are this device's. */
  readonly authentication: CryptoKeyPair;
  /** Data keys are sealed to it. */
  readonly sealing: StoredSealing;
  /** Missing until the server has enrolled the device. */
  readonly enrolment?: Enrolment;
  /** The highest floor of the releases that took it up: one with a lower floor refuses it. */
  readonly floor?: number;
}

/** Keeps devices by name. An implementation keeps `CryptoKey` objects as they are. */
export interface DeviceStorage {
  /** The device of that name. */
  load(name: string): Promise<StoredDevice | undefined>;
  /** Keeps it, in place of one of the same name. */
  save(name: string, device: StoredDevice): Promise<void>;
  /** Forgets it. */
  remove(name: string): Promise<void>;
}

/** Devices kept by this page or process, and lost with it. */
export function memoryStorage(): DeviceStorage {
  const devices = new Map<string, StoredDevice>();
  return {
    load: async (name) => devices.get(name),
    save: async (name, device) => void devices.set(name, device),
    remove: async (name) => void devices.delete(name),
  };
}

/** Devices kept in the browser's IndexedDB, by origin. */
export function indexedDbStorage(): DeviceStorage {
  if (typeof indexedDB === 'undefined') {
    throw new UnsupportedError('storage_unavailable', 'this platform has no IndexedDB: use `memory`');
  }
  return {
    load: (name) => transact(DATABASE, 'readonly', STORE, (store) => store.get(name) as IDBRequest<StoredDevice | undefined>),
    save: (name, device) => transact(DATABASE, 'readwrite', STORE, (store) => void store.put(device, name)),
    remove: (name) => transact(DATABASE, 'readwrite', STORE, (store) => void store.delete(name)),
  };
}

const STORE = 'devices';
const DATABASE = { name: 'keyhaven', stores: [STORE], keeps: 'device' };
