// libsodium's secretstream (XChaCha20-Poly1305), in chunks of 64 KiB.
import sodium from "libsodium-wrappers";

export async function secretStream() {
  await sodium.ready;
  const key = sodium.crypto_secretstream_xchacha20poly1305_keygen();
  const tag = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
  return {
    /** Encrypts `total` bytes, the same piece over and over; gives the number of chunks. */
    encrypt(total, piece) {
      const { state } = sodium.crypto_secretstream_xchacha20poly1305_init_push(key);
      return chunks(total, (at) => {
        const chunk = piece.subarray(at % piece.length, (at % piece.length) + CHUNK);
        sodium.crypto_secretstream_xchacha20poly1305_push(state, chunk, null, tag);
      });
    },
    /** The sealed chunks of `total` bytes, to give to `decrypt`. */
    sealed(total, piece) {
      const { state, header } = sodium.crypto_secretstream_xchacha20poly1305_init_push(key);
      const sealed = [];
      chunks(total, (at) => {
        const chunk = piece.subarray(at % piece.length, (at % piece.length) + CHUNK);
        sealed.push(sodium.crypto_secretstream_xchacha20poly1305_push(state, chunk, null, tag));
      });
      return { header, sealed };
    },
    decrypt({ header, sealed }) {
      const state = sodium.crypto_secretstream_xchacha20poly1305_init_pull(header, key);
      for (const chunk of sealed) {
        if (!sodium.crypto_secretstream_xchacha20poly1305_pull(state, chunk, null)) throw new Error("libsodium refused its own chunk");
      }
    },
  };
}

function chunks(total, each) {
  for (let at = 0; at < total; at += CHUNK) each(at);
}

const CHUNK = 64 * 1024;
