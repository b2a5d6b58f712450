// The files of the story, each with a marker in its plaintext that must never be seen again outside.
import { createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import zlib from "node:zlib";

const LARGE_BYTES = 64 * 1024 * 1024;
const WIDTH = 900;
const HEIGHT = 520;

/** A file on disk, its SHA-256, and the marker in it. */
async function sample(folder, name, bytes, marker) {
  const file = path.join(folder, name);
  await writeFile(file, bytes);
  return { name, file, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex"), marker };
}

/** 64 MiB of random bytes. The marker stands at its beginning, its end, and across frames in between. */
export function makeLarge(folder) {
  const bytes = randomBytes(LARGE_BYTES);
  const marker = randomBytes(32);
  for (const place of [0, 4_000, 1_000_001, LARGE_BYTES / 2 - 16, LARGE_BYTES - 32]) marker.copy(bytes, place);
  return sample(folder, "voyage.bin", bytes, marker);
}

/** A video of eight seconds: a lighthouse. The marker is a part of it. */
export async function takeVideo(folder) {
  const bytes = await readFile(new URL("../../../examples/web-app/public/beacon.webm", import.meta.url));
  return sample(folder, "beacon.webm", bytes, bytes.subarray(50_000, 50_032));
}

/** A picture: evening at a harbour. The marker is in a text chunk. */
export function makePicture(folder, name) {
  const marker = randomBytes(32);
  const rows = Buffer.alloc(HEIGHT * (1 + WIDTH * 3));
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) rows.set(colour(x, y), y * (1 + WIDTH * 3) + 1 + x * 3);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(WIDTH, 0);
  header.writeUInt32BE(HEIGHT, 4);
  // 8 bits a channel, red green blue.
  header.set([8, 2], 8);
  const text = Buffer.concat([Buffer.from("Comment\0"), Buffer.from(marker.toString("latin1"), "latin1")]);
  const png = Buffer.concat([
    Buffer.from("89504e470d0a1a0a", "hex"),
    chunk("IHDR", header),
    chunk("tEXt", text),
    chunk("IDAT", zlib.deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
  return sample(folder, name, png, marker);
}

function colour(x, y) {
  const far = Math.hypot(x - 610, y - 165);
  const glow = Math.max(0, 1 - far / 430);
  if (far < 36) return [255, 222, 155];
  if (y < 330) return [22 + 205 * glow, 58 + 120 * glow, 92 + 52 * glow];
  const wave = Math.sin((x + 3 * y) / 40 + Math.sin(y / 9)) * 13;
  const path = Math.max(0, 1 - Math.abs(x - 610) / (30 + (y - 330) / 2)) * 90;
  return [14 + wave / 2 + path, 78 + wave + path * 0.7, 102 + wave + path * 0.3].map((value) => Math.max(0, Math.min(255, value)));
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const edges = Buffer.alloc(8);
  edges.writeUInt32BE(data.length, 0);
  edges.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([edges.subarray(0, 4), body, edges.subarray(4)]);
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
