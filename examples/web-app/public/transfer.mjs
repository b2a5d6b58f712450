// A file's way up and down. It is encrypted and decrypted as it streams: no step holds it whole but the
// last one, which hands the decrypted file to the page.
import { completeFile, createFile, fetchFile, putPart } from "./api.mjs";

const PART_BYTES = 4 * 1024 * 1024;
const HEAD_BYTES = 4096;

/** Encrypts a file and uploads it in parts. Returns its id and the beginning of its ciphertext. */
export async function encryptAndUpload(haven, file, onProgress) {
  const id = await createFile({ name: file.name, type: file.type, size: file.size });
  const encrypted = file
    .stream()
    .pipeThrough(meter(file.size, onProgress))
    .pipeThrough(haven.encrypting(id));
  let offset = 0;
  let head = new Blob();
  for await (const part of inParts(encrypted)) {
    if (offset === 0) head = part.slice(0, HEAD_BYTES);
    await putPart(id, offset, part);
    offset += part.size;
  }
  await completeFile(id);
  return { id, head: await bytesOf(head) };
}

/** Downloads a file and decrypts it. Returns it with its SHA-256 and the beginning of its ciphertext. */
export async function downloadAndDecrypt(haven, { id, type, stored }, onProgress) {
  const answer = await fetchFile(id);
  const seen = [];
  const decrypted = answer.body
    .pipeThrough(meter(stored, onProgress))
    .pipeThrough(keepHead(seen))
    .pipeThrough(haven.decrypting(id));
  const blob = await collected(decrypted, type);
  return { blob, head: await bytesOf(new Blob(seen)), sha256: await sha256(blob) };
}

/** SHA-256 in hexadecimal digits. */
export async function sha256(blob) {
  const digest = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// By hand, because `new Response(stream).blob()` hides why a stream failed.
async function collected(stream, type) {
  const parts = [];
  for await (const part of inParts(stream)) parts.push(part);
  return new Blob(parts, { type });
}

// As blobs, which the browser may keep on disk, and which Chromium uploads many times faster than arrays.
async function* inParts(stream) {
  let chunks = [];
  let size = 0;
  for await (const chunk of chunksOf(stream)) {
    chunks.push(chunk);
    size += chunk.length;
    if (size < PART_BYTES) continue;
    yield new Blob(chunks);
    [chunks, size] = [[], 0];
  }
  if (size > 0) yield new Blob(chunks);
}

// Not every browser can iterate over a stream yet. Leaving the loop early cancels the stream.
async function* chunksOf(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function meter(total, onProgress) {
  const began = performance.now();
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.length;
      const seconds = Math.max(0.001, (performance.now() - began) / 1000);
      onProgress({ share: total > 0 ? bytes / total : 1, bytes, rate: bytes / seconds });
      controller.enqueue(chunk);
    },
  });
}

function keepHead(seen) {
  let size = 0;
  return new TransformStream({
    transform(chunk, controller) {
      if (size < HEAD_BYTES) seen.push(chunk.slice(0, HEAD_BYTES - size));
      size += chunk.length;
      controller.enqueue(chunk);
    },
  });
}

async function bytesOf(blob) {
  return new Uint8Array(await blob.arrayBuffer());
}
