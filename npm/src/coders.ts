/** What turns plaintext into a message's bytes, or back, piece by piece. */

/** Where the bytes go that come out. */
export interface Sink {
  /** Takes the next bytes. */
  readonly emit: (piece: Uint8Array<ArrayBuffer>) => void;
  /** Hears how many bytes of plaintext were done in all. */
  readonly progress?: ((done: number) => void) | undefined;
  /** Breaks off: something failed while no call was waiting. */
  readonly fail: (error: unknown) => void;
  /** Waits until somebody wants more; `undefined` when that is so. */
  readonly wanted: () => Promise<void> | undefined;
}

/** A message at work. After an error or its end only {@link Coder.free} may be called. */
export interface Coder {
  /** Takes bytes. They may be used again when this is done. */
  push(bytes: Uint8Array): Promise<void>;
  /** Ends, after the last bytes, if these were not pushed; all has come out when this is done. */
  finish(rest?: Uint8Array): Promise<void>;
  /** Gives up: nothing more comes out, and keys in Wasm are zeroized. More than once does no harm. */
  free(): void;
}
