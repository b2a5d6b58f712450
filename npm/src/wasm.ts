/** Loads the Wasm module: once for the page or process, and no other than this release was built with. */

import init, * as bindings from '../wasm/keyhaven_sdk.js';
import { WASM_INTEGRITY } from '../wasm/integrity.js';
import { IntegrityError, KeyhavenError, UnsupportedError } from './errors.js';
import { fetch, own, subtle, webAssembly } from './platform.js';
import { RELEASE } from './release.js';

/** The Wasm module's functions and classes. */
export type Wasm = typeof bindings;

/** Gives the compiled module on one kind of platform; each entry point of the package has its own. */
export type WasmSource = () => Promise<WebAssembly.Module>;

/** What an application may give in place of the package's own module: compiled, or where it is. */
export type WasmOption = WebAssembly.Module | URL | string;

let loading: Promise<Wasm> | undefined;

/** The module, loaded at the first call. A load that failed may be tried again. */
export function loadWasm(source: WasmSource, given?: WasmOption): Promise<Wasm> {
  loading ??= load(given === undefined ? source : () => compiled(given)).catch((cause: unknown) => {
    loading = undefined;
    if (cause instanceof KeyhavenError) throw cause;
    throw new UnsupportedError('wasm_failed', 'the Wasm module cannot be loaded', { cause });
  });
  return loading;
}

async function load(source: WasmSource): Promise<Wasm> {
  await init({ module_or_path: await source() });
  if (bindings.version() !== RELEASE) throw altered();
  return bindings;
}

async function compiled(given: WasmOption): Promise<WebAssembly.Module> {
  return given instanceof webAssembly.Module ? given : fetchModule(given);
}

/**
 * Fetches and compiles the module. Where `fetch` checks an integrity itself, as browsers' does, the
 * module is compiled from the stream, and the browser may keep what it compiled.
 */
export async function fetchModule(url: URL | string): Promise<WebAssembly.Module> {
  if (!('integrity' in Request.prototype)) return compileVerified(await fetchBytes(url));
  let response: Response;
  try {
    response = await fetch(url, own({ integrity: WASM_INTEGRITY }));
  } catch (cause) {
    // A file that cannot be had and one that was changed fail alike: look which it is.
    await verify(await fetchBytes(url));
    throw cause;
  }
  const streams = response.headers.get('content-type') === 'application/wasm';
  return streams ? webAssembly.compileStreaming(response) : webAssembly.compile(await response.arrayBuffer());
}

/** Compiles the module, if these are its bytes. */
export async function compileVerified(bytes: BufferSource): Promise<WebAssembly.Module> {
  await verify(bytes);
  return webAssembly.compile(bytes);
}

async function fetchBytes(url: URL | string): Promise<ArrayBuffer> {
  const response = await fetch(url);
  if (!response.ok) throw new UnsupportedError('wasm_failed', `the Wasm module cannot be fetched: ${response.status}`);
  return response.arrayBuffer();
}

/** Refuses bytes that this release was not built with: changed on the way, or of another release. */
async function verify(bytes: BufferSource): Promise<void> {
  const digest = new Uint8Array(await subtle.digest('SHA-384', bytes));
  if (`sha384-${btoa(String.fromCharCode(...digest))}` !== WASM_INTEGRITY) throw altered();
}

function altered(): IntegrityError {
  return new IntegrityError('wasm_altered', 'the Wasm module is not the one that this release was built with');
}
