/** What every entry point of the package gives alike: all but {@link connect} and {@link inspect}. */

export { Keyhaven } from './client.js';
export type { ConnectOptions } from './client.js';
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
export type { MessageInfo } from './inspect.js';
export { LeaseEndedEvent } from './leases.js';
export type { Lease, Leases } from './leases.js';
export type { DecryptOptions, EncryptOptions } from './messages.js';
export { memoryStorage } from './storage.js';
export type { DeviceStorage, Enrolment, FallbackSealing, StoredDevice } from './storage.js';
export type { WasmOption } from './wasm.js';
