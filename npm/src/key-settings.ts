/** The options of `connect` that say how data keys are kept, and their bounds. */

import { KeyhavenError } from './errors.js';
import type { LeaseStorage } from './lease-storage.js';
import { own } from './platform.js';

/** How long and how often one data key is used before the server is asked again. */
export interface CacheOptions {
  /** Seconds since the server last gave it, 1 to 3600; never beyond its lease. 3600 by default. */
  readonly maxAgeSeconds?: number;
  /** Messages that it encrypts, 1 to 2³². 1,000,000 by default. */
  readonly maxMessages?: number;
  /** Bytes that it encrypts, 1 to 2⁵³ − 1. 2⁴⁰ (1 TiB) by default. */
  readonly maxBytes?: number;
  /** Data keys held to encrypt with, and as many to decrypt with, 1 to 100,000. 1,000 by default. */
  readonly maxEntries?: number;
}

/** Options of `connect` that concern data keys. */
export interface KeyOptions {
  /** Seconds for which a data key may be used, 1 to 3600. Leases in use are renewed. 300 by default. */
  readonly leaseSeconds?: number;
  /** Limits of the cache of data keys; `false` asks the server for every message. */
  readonly cache?: CacheOptions | false;
  /**
   * Seconds for which a lease goes on beyond its end while the server cannot be reached, 0 to 604,800 (7 days).
   * Keys must allow it: the server refuses to deliver for longer. 0 by default.
   */
  readonly offlineGraceSeconds?: number;
  /**
   * Whether leases outlive the page: in IndexedDB, or where you say. Kept is what the server sent, sealed to this
   * device. With `offlineGraceSeconds`, work can then begin without the server. Not kept by default.
   */
  readonly persist?: boolean | LeaseStorage;
  /** Seconds to wait for an answer, or for a ticket, 1 to 600. 30 by default. */
  readonly timeoutSeconds?: number;
}

/** The limits of a cache, all of them. */
export type CacheLimits = Required<CacheOptions>;

/** {@link KeyOptions}, checked, and complete. */
export interface KeySettings {
  readonly leaseSeconds: number;
  readonly cache: CacheLimits | false;
  readonly offlineGraceSeconds: number;
  readonly persist: boolean | LeaseStorage;
  readonly timeoutSeconds: number;
}

/** Checks options, and fills in what was left out. */
export function keySettings(options: KeyOptions): KeySettings {
  return {
    leaseSeconds: whole('leaseSeconds', options.leaseSeconds, 300, [1, 3600]),
    cache: options.cache === false ? false : cacheLimits(own(options.cache ?? {})),
    offlineGraceSeconds: whole('offlineGraceSeconds', options.offlineGraceSeconds, 0, [0, LONGEST_GRACE_S]),
    persist: options.persist ?? false,
    timeoutSeconds: whole('timeoutSeconds', options.timeoutSeconds, 30, [1, 600]),
  };
}

function cacheLimits(options: CacheOptions): CacheLimits {
  return {
    maxAgeSeconds: whole('cache.maxAgeSeconds', options.maxAgeSeconds, 3600, [1, 3600]),
    maxMessages: whole('cache.maxMessages', options.maxMessages, 1_000_000, [1, 2 ** 32]),
    maxBytes: whole('cache.maxBytes', options.maxBytes, 2 ** 40, [1, Number.MAX_SAFE_INTEGER]),
    maxEntries: whole('cache.maxEntries', options.maxEntries, 1_000, [1, 100_000]),
  };
}

function whole(name: string, given: number | undefined, otherwise: number, [least, most]: [number, number]): number {
  const value = given ?? otherwise;
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new KeyhavenError('invalid_argument', `\`${name}\` is a whole number from ${least} to ${most}`);
}

/** The same floor is compiled into the Wasm module, which refuses deliveries beyond it. */
const LONGEST_GRACE_S = 7 * 24 * 3600;
