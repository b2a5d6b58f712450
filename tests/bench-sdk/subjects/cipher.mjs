// The Wasm cipher on bare bytes, built as the SDK's module is: what it costs without any message.

/** Loads the bindings that `cargo xtask bench sdk` made. */
export async function wasmCipher({ cipher }) {
  const bindings = await import(`${cipher}/keyhaven_bench_cipher.js`);
  await bindings.default({ module_or_path: await module(`${cipher}/keyhaven_bench_cipher_bg.wasm`) });
  const key = bindings.Cipher.make(crypto.getRandomValues(new Uint8Array(32)));
  return { encrypt: (bytes) => key.encrypt(bytes), decrypt: (bytes) => key.decrypt(bytes) };
}

async function module(url) {
  if (!url.startsWith("file:")) return fetch(url);
  const { readFile } = await import("node:fs/promises");
  return readFile(new URL(url));
}
