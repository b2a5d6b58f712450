/** The package with the Wasm module inside, for bundlers that copy no other files: a third larger. */

import { WASM_BASE64 } from '../wasm/inline.js';
import { type ConnectOptions, type Keyhaven, connectWith } from './client.js';
import { fromBase64 } from './encoding.js';
import { type MessageInfo, inspectWith } from './inspect.js';
import { compileVerified } from './wasm.js';
export * from './surface.js';

/** Loads the Wasm module, takes up this device or enrols it, and gives a client. */
export function connect(options: ConnectOptions): Promise<Keyhaven> {
  return connectWith(inlined, options);
}

/** Reads a message's header, without a client or a server. `undefined` when more bytes are needed. */
export function inspect(message: Uint8Array): Promise<MessageInfo | undefined> {
  return inspectWith(inlined, message);
}

const inlined = () => compileVerified(fromBase64(WASM_BASE64));
