// Sources and sinks that cost next to nothing.

/** Pieces of a stream, as files and networks give them. */
export const PIECE = 1024 * 1024;

/** A stream of `total` bytes: the same piece over and over. */
export function source(total, piece) {
  let left = total;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(left < piece.length ? piece.subarray(0, left) : piece);
      left -= Math.min(left, piece.length);
      if (left === 0) controller.close();
    },
  });
}

/** A stream of pieces that are at hand. */
export function replay(pieces) {
  let next = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(pieces[next]);
      next += 1;
      if (next === pieces.length) controller.close();
    },
  });
}

/** Reads a stream to its end; gives its length. */
export async function drained(stream) {
  let length = 0;
  await stream.pipeTo(new WritableStream({ write: (piece) => void (length += piece.length) }));
  return length;
}

/** Reads a stream to its end; gives it in pieces that own their memory, as a network would. */
export async function recorded(stream, length = PIECE) {
  const pieces = [];
  let piece = new Uint8Array(length);
  let filled = 0;
  const write = (bytes) => {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + length - filled);
      piece.set(part, filled);
      at += part.length;
      filled += part.length;
      if (filled < length) continue;
      pieces.push(piece);
      [piece, filled] = [new Uint8Array(length), 0];
    }
  };
  await stream.pipeTo(new WritableStream({ write }));
  if (filled > 0) pieces.push(piece.slice(0, filled));
  return pieces;
}

/** Pieces as one. */
export function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** Throws unless a subject did what it was timed for. */
export function expectLength(actual, expected, who) {
  if (actual !== expected) throw new Error(`${who} gave ${actual} bytes, not ${expected}`);
}
