// Searches files for secrets that must not be there, in every form in which they might be.
import { open } from "node:fs/promises";

const WINDOW = 16 * 1024 * 1024;
const STRIDE = 8;
// A window's end is looked at again with the next one; no form is longer.
const OVERLAP = 512;

/** The forms of a secret: raw, hexadecimal, base64 and base64url at each alignment, and all of them reversed. */
export function formsOf(secret) {
  const bytes = Buffer.from(secret);
  const hex = bytes.toString("hex");
  const texts = [hex, hex.toUpperCase()];
  for (const alignment of [0, 1, 2]) {
    for (const encoding of ["base64", "base64url"]) {
      texts.push(insideOfBase64(bytes, alignment, encoding));
    }
  }
  const forward = [bytes, ...texts.map((text) => Buffer.from(text, "latin1"))];
  return [...forward, ...forward.map((form) => Buffer.from(form).reverse())];
}

/** The characters that depend on the secret alone, when `alignment` bytes of something else precede it. */
function insideOfBase64(bytes, alignment, encoding) {
  const padded = Buffer.concat([Buffer.alloc(alignment), bytes]);
  const whole = Math.floor((padded.length * 8) / 6);
  return padded.toString(encoding).slice(Math.ceil((alignment * 8) / 6), whole);
}

/**
 * Finds any of many needles in one pass: it looks at every eighth place, where each needle must have one of
 * its first eight four-byte groups.
 */
export class Search {
  #places = new Map();
  #filter = new Uint8Array(1 << 16);

  /** `secrets` maps a name to bytes; at least 16 of them. */
  constructor(secrets) {
    for (const [name, secret] of secrets) {
      for (const needle of formsOf(secret)) this.#add(name, needle);
    }
  }

  #add(name, needle) {
    if (needle.length < STRIDE + 3) throw new Error(`${name} is too short to be searched for`);
    for (let offset = 0; offset < STRIDE; offset += 1) {
      const group = needle.readUInt32LE(offset);
      this.#filter[hash(group)] = 1;
      const places = this.#places.get(group) ?? [];
      places.push({ name, needle, offset });
      this.#places.set(group, places);
    }
  }

  /** The names of the secrets that are in these bytes. */
  inBytes(bytes) {
    const found = new Set();
    for (let at = 0; at + 4 <= bytes.length; at += STRIDE) {
      const group = (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
      if (this.#filter[hash(group)] === 0) continue;
      for (const { name, needle, offset } of this.#places.get(group) ?? []) {
        const start = at - offset;
        if (start >= 0 && bytes.subarray(start, start + needle.length).equals(needle)) found.add(name);
      }
    }
    return found;
  }

  /** What is found in a file, as `name in file`; and how many bytes were read. */
  async inFile(file) {
    const found = new Set();
    const handle = await open(file);
    const window = Buffer.alloc(WINDOW + OVERLAP);
    let kept = 0;
    let size = 0;
    try {
      for (;;) {
        const { bytesRead } = await handle.read(window, kept, WINDOW);
        if (bytesRead === 0) return { found: [...found].map((name) => `${name} in ${file}`), size };
        size += bytesRead;
        const filled = kept + bytesRead;
        for (const name of this.inBytes(window.subarray(0, filled))) found.add(name);
        kept = Math.min(OVERLAP, filled);
        window.copyWithin(0, filled - kept, filled);
      }
    } finally {
      await handle.close();
    }
  }
}

const hash = (group) => (group ^ (group >>> 16)) & 0xffff;
