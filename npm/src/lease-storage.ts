/** Where leases are kept between visits: sealed to this device, as the server sent them. */

import { UnsupportedError } from './errors.js';
import { transact } from './indexed-db.js';
import type { LeasePurpose } from './lease.js';

/** A lease as it is kept. Its data key is sealed to this device's keys; all else is public, and checked again. */
export interface StoredLease {
  /** What it is found by: what the data key is for, and under which name. */
  readonly id: string;
  /** Whether the data key encrypts or decrypts. */
  readonly purpose: LeasePurpose;
  /** The key as it was asked for. */
  readonly key: string;
  /** The encryption context: keys and values by turns. */
  readonly pairs: readonly string[];
  /** The request's nonce, which the delivery is bound to. */
  readonly nonce: Uint8Array;
  /** The server's answer: the sealed data key, signed. */
  readonly delivery: Uint8Array;
  /** The key that the data key is of: its id. */
  readonly keyId: string;
  /** The key's version that wraps the data key. */
  readonly keyVersion: number;
  /** The keyring that the key is in. */
  readonly keyring: string;
  /** The data key as the server wrapped it: what stands in the messages. */
  readonly encryptedDataKey: Uint8Array;
  /** When the lease began, Unix milliseconds. These times are to look for and to tidy up by; what counts is what is signed. */
  readonly issuedAt: number;
  /** When the lease ends, Unix milliseconds. */
  readonly endsAt: number;
  /** When it ends for a device without a network, Unix milliseconds. */
  readonly offlineEndsAt: number;
  /** How many messages were encrypted under it. */
  readonly messages: number;
  /** How many bytes were encrypted under it. */
  readonly bytes: number;
}

/** What a client knew when it was last here. */
export interface StoredTime {
  /** The server's time, proven then or counted on since: Unix milliseconds. */
  readonly server: number;
  /** This machine's wall clock at the same moment. A clock that is behind it was set back. */
  readonly wall: number;
  /** The serial of the last event heard; a text of digits. */
  readonly after: string | undefined;
}

/** Keeps the leases of a server, which `scope` names. Each call is done when what it did is durable. */
export interface LeaseStorage {
  /** All leases of the scope. */
  leases(scope: string): Promise<StoredLease[]>;
  /** Keeps leases, in place of those with the same ids. */
  put(scope: string, leases: readonly StoredLease[]): Promise<void>;
  /** Forgets leases by their ids. */
  remove(scope: string, ids: readonly string[]): Promise<void>;
  /** The time that was kept last. */
  time(scope: string): Promise<StoredTime | undefined>;
  /** Keeps a time. */
  setTime(scope: string, time: StoredTime): Promise<void>;
  /** Forgets everything of the scope. */
  clear(scope: string): Promise<void>;
}

/** Leases kept by this page or process, and lost with it. */
export function memoryLeaseStorage(): LeaseStorage {
  const kept = new Map<string, Map<string, StoredLease>>();
  const times = new Map<string, StoredTime>();
  const of = (scope: string) => kept.get(scope) ?? kept.set(scope, new Map()).get(scope) as Map<string, StoredLease>;
  return {
    leases: async (scope) => [...of(scope).values()],
    put: async (scope, leases) => leases.forEach((lease) => of(scope).set(lease.id, lease)),
    remove: async (scope, ids) => ids.forEach((id) => of(scope).delete(id)),
    time: async (scope) => times.get(scope),
    setTime: async (scope, time) => void times.set(scope, time),
    clear: async (scope) => void (kept.delete(scope), times.delete(scope)),
  };
}

/** Leases kept in the browser's IndexedDB, by origin. */
export function indexedDbLeaseStorage(): LeaseStorage {
  if (typeof indexedDB === 'undefined') {
    throw new UnsupportedError('storage_unavailable', 'this platform has no IndexedDB: pass a `LeaseStorage` as `persist`');
  }
  const within = (scope: string) => IDBKeyRange.bound([scope], [scope, []]);
  return {
    leases: (scope) => transact(DATABASE, 'readonly', LEASES, (store) => store.getAll(within(scope)) as IDBRequest<StoredLease[]>),
    put: (scope, leases) => change(LEASES, (store) => leases.forEach((lease) => store.put(lease, [scope, lease.id]))),
    remove: (scope, ids) => change(LEASES, (store) => ids.forEach((id) => store.delete([scope, id]))),
    time: (scope) => transact(DATABASE, 'readonly', TIMES, (store) => store.get(scope) as IDBRequest<StoredTime | undefined>),
    setTime: (scope, time) => change(TIMES, (store) => store.put(time, scope)),
    clear: async (scope) => {
      await change(LEASES, (store) => store.delete(within(scope)));
      await change(TIMES, (store) => store.delete(scope));
    },
  };
}

function change(name: string, act: (store: IDBObjectStore) => unknown): Promise<void> {
  return transact(DATABASE, 'readwrite', name, (store) => void act(store));
}

const LEASES = 'leases';
const TIMES = 'times';
const DATABASE = { name: 'keyhaven-leases', stores: [LEASES, TIMES], keeps: 'leases' };
