import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";

import { Search, formsOf } from "./story/canary.mjs";

test("a secret is found in every form and at every place", () => {
  const secret = randomBytes(32);
  const search = new Search([["key", secret]]);
  for (const form of formsOf(secret)) {
    for (let place = 0; place < 20; place += 1) {
      const bytes = Buffer.concat([randomBytes(place), form, randomBytes(7)]);
      assert.deepEqual([...search.inBytes(bytes)], ["key"]);
    }
  }
});

test("base64 is found whatever stands before and after it", () => {
  const secret = randomBytes(32);
  const search = new Search([["key", secret]]);
  for (let before = 0; before < 6; before += 1) {
    const text = Buffer.concat([randomBytes(before), secret, randomBytes(5)]).toString("base64");
    assert.equal(search.inBytes(Buffer.from(text)).size, 1, `after ${before} bytes`);
  }
});

test("random bytes hold no secret", () => {
  const search = new Search([["key", randomBytes(32)]]);
  assert.equal(search.inBytes(randomBytes(1 << 20)).size, 0);
});

test("a secret across two windows of a file is found", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "keyhaven-canary-"));
  try {
    const secret = randomBytes(32);
    const file = path.join(folder, "file");
    await writeFile(file, Buffer.concat([Buffer.alloc(16 * 1024 * 1024 - 9), secret, Buffer.alloc(100)]));
    const { found } = await new Search([["key", secret]]).inFile(file);
    assert.deepEqual(found, [`key in ${file}`]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
