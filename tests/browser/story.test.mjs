// Plays the story, and counts each of its steps as a test.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const folder = mkdtempSync(path.join(tmpdir(), "keyhaven-rows-"));
const json = path.join(folder, "rows.json");
const story = fileURLToPath(new URL("story.mjs", import.meta.url));
const { status } = spawnSync(process.execPath, [story, "--json", json], { stdio: ["ignore", "ignore", "inherit"] });
const rows = JSON.parse(readFileSync(json, "utf8"));
rmSync(folder, { recursive: true });

for (const { step, happened, ok } of rows) {
  test(`story: ${step}`, () => assert.ok(ok, happened));
}
test("story: it came to its end", () => assert.equal(status, 0));
