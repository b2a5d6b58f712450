/**
 * The platform's functions as they were when this package was loaded. What a page puts in their place
 * later, by a polyfill, a recorder of sessions or a polluted prototype, sees no secret of a key and
 * changes nothing of what is asked of WebCrypto or the network.
 *
 * It is no defence against hostile code in the same origin: that can run before this package, or use the
 * client as the page does.
 */

import { UnsupportedError } from './errors.js';

const { crypto, WebAssembly: wasm } = globalThis;
const { assign, create, freeze, getOwnPropertyDescriptor, getPrototypeOf, hasOwn } = Object;
const { prototype } = Uint8Array;
const Native = Uint8Array;

/** A method as a function of its object, which finds its way without looking anything up. */
function uncurried<This, Rest extends unknown[], Out>(
  method: (this: This, ...rest: Rest) => Out,
): (self: This, ...rest: Rest) => Out {
  return Function.prototype.call.bind(method) as (self: This, ...rest: Rest) => Out;
}

const setBytes = uncurried(prototype.set);
const fillBytes = uncurried(prototype.fill);
const getter = <Out>(name: string) =>
  uncurried(getOwnPropertyDescriptor(getPrototypeOf(prototype), name)?.get as (this: Uint8Array) => Out);
const lengthOf = getter<number>('length');
const offsetOf = getter<number>('byteOffset');
const bufferOf = getter<ArrayBuffer>('buffer');

/** What this package uses of WebCrypto. */
export type Subtle = Pick<SubtleCrypto, (typeof SUBTLE)[number]>;

const SUBTLE = ['decrypt', 'deriveBits', 'deriveKey', 'digest', 'encrypt', 'exportKey', 'generateKey', 'importKey', 'sign', 'verify'] as const;

/** WebCrypto. Where it is missing, each call is refused with `webcrypto_missing`. */
export const subtle: Subtle = freeze(
  SUBTLE.reduce((all, name) => ({ ...all, [name]: crypto?.subtle?.[name].bind(crypto.subtle) ?? missing }), {}) as Subtle,
);

async function missing(): Promise<never> {
  throw new UnsupportedError('webcrypto_missing', 'WebCrypto is missing: a page must be served by HTTPS or from localhost');
}

/** `fetch`. */
export const fetch: typeof globalThis.fetch = globalThis.fetch?.bind(globalThis);

/**
 * A dictionary's own entries without a prototype, so that nothing put on `Object.prototype` counts as one.
 * Node looks there all the same for what an algorithm leaves out: state every parameter, AES-GCM's `tagLength` too.
 */
export function own<T extends object>(dictionary: T): T {
  return assign(create(null), dictionary) as T;
}

/** Whether an object has an entry of its own. */
export function has<T extends object, Name extends string>(object: T, name: Name): object is Extract<T, Record<Name, unknown>> {
  return hasOwn(object, name);
}

/** Overwrites bytes that were secret. */
export function wipe(bytes: Uint8Array): void {
  fillBytes(bytes, 0);
}

/** Copies bytes into a buffer of their own. */
export function copied(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = new Native(lengthOf(bytes));
  setBytes(copy, bytes);
  return copy;
}

/**
 * A window on the Wasm module's memory. The module's JavaScript uses it as its `Uint8Array`, so that no
 * replaced method sees what passes in and out.
 */
export class MemoryView extends Native<ArrayBuffer> {
  override set(bytes: ArrayLike<number>, at?: number): void {
    setBytes(this, bytes, at);
  }

  // Made directly: looking for the kind of its result costs the platform's own method several times as much.
  override subarray(from = 0, to: number = lengthOf(this)): MemoryView {
    return new MemoryView(bufferOf(this), offsetOf(this) + from, to - from);
  }

  /** A copy outside of the module's memory. */
  override slice(from?: number, to?: number): Uint8Array<ArrayBuffer> {
    return copied(from === undefined ? this : this.subarray(from, to));
  }
}
freeze(MemoryView.prototype);
freeze(MemoryView);

/** `WebAssembly`, for the module's JavaScript. */
export const webAssembly: typeof WebAssembly = wasm && freeze({
  Instance: wasm.Instance,
  Module: wasm.Module,
  compile: wasm.compile,
  instantiate: wasm.instantiate,
  ...(wasm.compileStreaming && { compileStreaming: wasm.compileStreaming }),
  ...(wasm.instantiateStreaming && { instantiateStreaming: wasm.instantiateStreaming }),
} as typeof WebAssembly);

/** What the module's JavaScript knows as `globalThis`: the random generator. */
export const scope = freeze({ crypto: freeze({ getRandomValues: crypto?.getRandomValues?.bind(crypto) }) });

/**
 * Gives WebCrypto a message's key. Called by the Wasm module with a view of its own memory, so that the
 * key's bytes are never held by JavaScript; WebCrypto copies them before this returns.
 */
export function importMessageKey(bytes: Uint8Array<ArrayBuffer>, usage: 'encrypt' | 'decrypt'): Promise<CryptoKey> {
  return subtle.importKey('raw', bytes, AES_GCM, false, [usage]);
}

const AES_GCM = own({ name: 'AES-GCM' });
