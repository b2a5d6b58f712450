/** Loads the Wasm module, once for the page or process. */

import init, * as bindings from '../wasm/keyhaven_sdk.js';
import { UnsupportedError } from './errors.js';

/** The Wasm module's functions and classes. */
export type Wasm = typeof bindings;

/** Where the module's bytes come from; a platform without `fetch` of its own files sets another. */
type Source = () => unknown;

let source: Source = () => new URL('../wasm/keyhaven_sdk_bg.wasm', import.meta.url);
let loading: Promise<Wasm> | undefined;

/** Sets where the module's bytes come from, before it is first loaded. */
export function setWasmSource(other: Source): void {
  source = other;
}

/** The module, loaded at the first call. A failed load may be tried again. */
export function loadWasm(module?: WebAssembly.Module): Promise<Wasm> {
  loading ??= load(module).catch((cause: unknown) => {
    loading = undefined;
    throw new UnsupportedError('wasm_failed', 'the Wasm module cannot be loaded', { cause });
  });
  return loading;
}

async function load(module?: WebAssembly.Module): Promise<Wasm> {
  const from = module ?? (await source());
  await init({ module_or_path: from as WebAssembly.Module | URL | BufferSource });
  if (bindings.version() !== VERSION) throw new Error('the Wasm module is of another release');
  return bindings;
}

/** This package's release; the Wasm module must be of the same. */
const VERSION = '0.1.0';
