/** The package in Cloudflare Workers: they compile the Wasm module when the worker is deployed, and never later. */

import module from '../wasm/keyhaven_sdk_bg.wasm';
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
