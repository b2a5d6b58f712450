/** Frames at work in WebCrypto: several at once, their results in order. */

/** What becomes of a frame: bytes to put before it, and how much plaintext it is. */
interface Slot {
  readonly head: Uint8Array | undefined;
  readonly content: number;
  result: ArrayBuffer | undefined;
}

/** Where results go. */
export interface WindowHooks {
  /** Takes a frame's result, in the order in which frames were begun. */
  readonly done: (result: Uint8Array<ArrayBuffer>, head: Uint8Array | undefined, content: number) => void;
  /** Hears of the first failure, after all before it are done; nothing comes after it. */
  readonly failed: (error: unknown) => void;
  /** What WebCrypto's refusal of a frame means; left out, it is told as it is. */
  readonly refused?: () => unknown;
}

/** Keeps frames in flight. */
export class FrameWindow {
  readonly #hooks: WindowHooks;
  readonly #limit: number;
  readonly #slots: Slot[] = [];
  readonly #failures = new Map<Slot, unknown>();
  #wake: (() => void) | undefined;
  #closed = false;

  /** `frameLength` decides how many frames are in flight: less than some bytes, and not too many. */
  constructor(frameLength: number, hooks: WindowHooks) {
    this.#hooks = hooks;
    this.#limit = Math.max(2, Math.min(MOST_FRAMES, Math.floor(MOST_BYTES / frameLength)));
  }

  /** Whether no more may be begun for now. */
  get full(): boolean {
    return this.#slots.length >= this.#limit;
  }

  /** Takes up a frame that was begun. */
  add(work: Promise<ArrayBuffer>, head: Uint8Array | undefined, content: number): void {
    const slot: Slot = { head, content, result: undefined };
    this.#slots.push(slot);
    work.then(
      (result) => {
        slot.result = result;
        this.#settle();
      },
      (error: unknown) => {
        this.#failures.set(slot, error);
        this.#settle();
      },
    );
  }

  /** Waits until one more may be begun. */
  async room(): Promise<void> {
    while (this.full && !this.#closed) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  /** Waits until nothing is in flight. */
  async drained(): Promise<void> {
    while (this.#slots.length > 0 && !this.#closed) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  /** Nothing more comes out. */
  close(): void {
    this.#closed = true;
    this.#slots.length = 0;
    this.#failures.clear();
    this.#wake?.();
  }

  #settle(): void {
    try {
      this.#giveOut();
    } catch (error) {
      // Whoever takes results failed: a callback of the application's, say.
      this.#fail(error);
    }
    this.#wake?.();
  }

  #giveOut(): void {
    for (let first = this.#slots[0]; first && !this.#closed; first = this.#slots[0]) {
      if (first.result) {
        this.#slots.shift();
        this.#hooks.done(new Uint8Array(first.result), first.head, first.content);
      } else if (this.#failures.has(first)) {
        return this.#fail(this.#hooks.refused?.() ?? this.#failures.get(first));
      } else {
        return;
      }
    }
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.close();
    this.#hooks.failed(error);
  }
}

/** More than these in flight win nothing, also not of small frames. */
const MOST_FRAMES = 16;
/** Bytes in flight: with what WebCrypto copies, a stream stays within a few of these. */
const MOST_BYTES = 2 * 1024 * 1024;
