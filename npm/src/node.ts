/** The package in Node, Deno and Bun: the same, but the Wasm module is read from the disk. */

import { readFile } from 'node:fs/promises';
import { type ConnectOptions, type Keyhaven, connectWith } from './client.js';
import { type MessageInfo, inspectWith } from './inspect.js';
import { compileVerified } from './wasm.js';
export * from './surface.js';

/** Loads the Wasm module, takes up this device or enrols it, and gives a client. */
export function connect(options: ConnectOptions): Promise<Keyhaven> {
  return connectWith(onDisk, options);
}

/** Reads a message's header, without a client or a server. `undefined` when more bytes are needed. */
export function inspect(message: Uint8Array): Promise<MessageInfo | undefined> {
  return inspectWith(onDisk, message);
}

async function onDisk(): Promise<WebAssembly.Module> {
  return compileVerified(await readFile(new URL('../wasm/keyhaven_sdk_bg.wasm', import.meta.url)));
}
