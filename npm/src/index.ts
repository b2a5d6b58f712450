/**
 * Keyhaven's SDK: data is encrypted and decrypted here, under data keys that a Keyhaven server seals to
 * this device and to nobody else. Begin with {@link connect}.
 */

export { connect, Keyhaven } from './client.js';
export type { ConnectOptions, DecryptOptions, EncryptOptions } from './client.js';
export type { TicketRequest, TicketSource } from './data-keys.js';
export type { EncryptionContext } from './encoding.js';
export {
  IntegrityError,
  KeyhavenError,
  LeaseEndedError,
  NetworkError,
  RefusedError,
  TruncatedError,
  UnsupportedError,
} from './errors.js';
export type { LeaseEnd } from './errors.js';
export { inspect } from './inspect.js';
export type { MessageInfo } from './inspect.js';
export { LeaseEndedEvent } from './leases.js';
export type { Lease, Leases } from './leases.js';
export { memoryStorage } from './storage.js';
export type { DeviceStorage, Enrolment, FallbackSealing, StoredDevice } from './storage.js';
