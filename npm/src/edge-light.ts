/** The package in Vercel's edge runtime: its bundlers compile the Wasm module, and never the running function. */

import module from '../wasm/keyhaven_sdk_bg.wasm?module';
import { type ConnectOptions, type Keyhaven, connectWith } from './client.js';
import { type MessageInfo, inspectWith } from './inspect.js';
export * from './surface.js';

/** Loads the Wasm module, takes up this device or enrols it, and gives a client. */
export function connect(options: ConnectOptions): Promise<Keyhaven> {
  return connectWith(deployed, options);
}

/** Reads a message's header, without a client or a server. `undefined` when more bytes are needed. */
export function inspect(message: Uint8Array): Promise<MessageInfo | undefined> {
  return inspectWith(deployed, message);
}

const deployed = async () => module;
