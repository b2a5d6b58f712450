/** What every entry point of the package gives alike: all but {@link connect} and {@link inspect}. */

export { Keyhaven } from './client.js';
export type { ConnectOptions } from './client.js';
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
export type { MessageInfo } from './inspect.js';
export type { CacheOptions, KeyOptions } from './key-settings.js';
export type { Lease, LeasePurpose } from './lease.js';
export { memoryLeaseStorage } from './lease-storage.js';
export type { LeaseStorage, StoredLease, StoredTime } from './lease-storage.js';
export { LeaseEndedEvent } from './leases.js';
export type { Leases } from './leases.js';
export type { DataKeyOptions, DecryptOptions, EncryptOptions } from './message-options.js';
export type { OpenedMessage, ReadOptions } from './opened-message.js';
export type { SealingChoice } from './sealing.js';
export type { MessageSource, Openable } from './sources.js';
export { memoryStorage } from './storage.js';
export type { DeviceStorage, Enrolment, HybridKeys, SealedKeys, StoredDevice, StoredSealing } from './storage.js';
export type { WasmOption } from './wasm.js';
export type { DataKey } from './data-key.js';
export type { TicketRequest, TicketSource } from './tickets.js';
