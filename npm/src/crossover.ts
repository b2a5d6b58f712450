/** Up to which size the Wasm module's own cipher is quicker than WebCrypto. */

/**
 * Whether a whole message of so few bytes is done sooner here, at once, than by asking WebCrypto. Measured: the module
 * takes some 11 µs for a KiB; WebCrypto some 80 µs more for a message in Chromium, whatever its length, and 160 µs in Node.
 */
export function fewerThanWebCrypto(bytes: number): boolean {
  return bytes <= CROSSOVER;
}

const { process } = globalThis as { process?: { versions?: { node?: string } } };
const CROSSOVER = process?.versions?.node === undefined ? 4096 : 8192;
