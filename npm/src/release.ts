/** This package's release; the Wasm module is of the same. */
export const RELEASE = '0.1.0';

/**
 * Raised by a release that mends a weakness of those before it: a device that such a release took up is refused to
 * older ones, so that nobody can serve a page the weakness again.
 */
export const FLOOR = 1;
