/** Up to which size the Wasm module's own cipher is quicker than WebCrypto. */

/** Whether so few bytes are done sooner here, at once, than by asking WebCrypto. */
export function fewerThanWebCrypto(bytes: number): boolean {
  return bytes <= CROSSOVER;
}

const CROSSOVER = 1024;
