/**
 * Keyhaven's SDK: data is encrypted and decrypted here, under data keys that a Keyhaven server seals to
 * this device and to nobody else. Begin with {@link connect}.
 *
 * @packageDocumentation
 */

import { type ConnectOptions, type Keyhaven, connectWith } from './client.js';
import { type MessageInfo, inspectWith } from './inspect.js';
import { fetchModule } from './wasm.js';
export * from './surface.js';

/** Loads the Wasm module, takes up this device or enrols it, and gives a client. */
export function connect(options: ConnectOptions): Promise<Keyhaven> {
  return connectWith(beside, options);
}

/** Reads a message's header, without a client or a server. `undefined` when more bytes are needed. */
export function inspect(message: Uint8Array): Promise<MessageInfo | undefined> {
  return inspectWith(beside, message);
}

/** The module lies beside this file, for the browser and for bundlers that know `new URL`. */
const beside = () => fetchModule(new URL('../wasm/keyhaven_sdk_bg.wasm', import.meta.url));
