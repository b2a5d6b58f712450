/** The package in Node: the same, but the Wasm module is read from the disk, since `fetch` reads no files. */

import { readFile } from 'node:fs/promises';
import { setWasmSource } from './wasm.js';

setWasmSource(() => readFile(new URL('../wasm/keyhaven_sdk_bg.wasm', import.meta.url)));

export * from './index.js';
