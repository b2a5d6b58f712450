/** This package's release; the Wasm module is of the same. */
export const RELEASE = '0.1.0';
