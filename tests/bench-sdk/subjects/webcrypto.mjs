// WebCrypto alone: what the platform gives without any message format.

/** A raw AES-256-GCM key and the two operations on bare bytes. */
export async function webCrypto() {
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const algorithm = { name: "AES-GCM", iv: new Uint8Array(12) };
  return {
    encrypt: (bytes) => crypto.subtle.encrypt(algorithm, key, bytes),
    decrypt: (bytes) => crypto.subtle.decrypt(algorithm, key, bytes),
  };
}

/**
 * The same frames as ours, as fast as WebCrypto does them: a window of calls in flight, nothing kept, no stream, no
 * copy, no check of order. Each frame has the nonce and additional data that the message format gives it.
 */
export async function pipelined(frameLength, inFlight = 8) {
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const algorithm = (index) => {
    const iv = new Uint8Array(12);
    new DataView(iv.buffer).setUint32(8, index);
    return { name: "AES-GCM", iv, additionalData: new Uint8Array(AAD_LENGTH) };
  };
  const all = async (count, start) => {
    const window = [];
    for (let index = 0; index < count; index += 1) {
      if (window.length === inFlight) await window.shift();
      window.push(start(index));
    }
    await Promise.all(window);
  };
  return {
    /** Encrypts `total` bytes, which lie in pieces of a whole number of frames. */
    encrypt(total, piece) {
      const at = (index) => (index * frameLength) % piece.length;
      const frame = (index) => piece.subarray(at(index), at(index) + frameLength);
      return all(total / frameLength, (index) => crypto.subtle.encrypt(algorithm(index), key, frame(index)));
    },
    /** The sealed frames to give to `decrypt`: of the first piece, again and again. */
    async sealed(piece) {
      const frames = [];
      for (let index = 0; index < piece.length / frameLength; index += 1) {
        const frame = piece.subarray(index * frameLength, (index + 1) * frameLength);
        frames.push(new Uint8Array(await crypto.subtle.encrypt(algorithm(index), key, frame)));
      }
      return frames;
    },
    /** Decrypts `total` bytes of plaintext. */
    decrypt(total, frames) {
      const number = (index) => index % frames.length;
      const start = (index) => crypto.subtle.decrypt(algorithm(number(index)), key, frames[number(index)]);
      return all(total / frameLength, start);
    },
  };
}

/** Message id, purpose, sequence number and length, in the AWS Encryption SDK message format. */
const AAD_LENGTH = 32 + 23 + 4 + 8;
