// The story as a table: a row for each step, printed as it ends.
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const PATIENCE_MS = 90_000;
const WIDTHS = { step: 34, happened: 78, ms: 7 };

/** A step did not do what it must. */
export class StepFailure extends Error {}

/** Ends the step unless `holds`. */
export function must(holds, otherwise) {
  if (!holds) throw new StepFailure(otherwise);
}

/** Ends the step unless the two are the same. */
export function mustEqual(found, expected, what) {
  must(found === expected, `${what}: expected ${expected}, found ${found}`);
}

export class Table {
  rows = [];

  constructor() {
    print("step", "what happened", "ms", "ok");
    print("─".repeat(WIDTHS.step), "─".repeat(WIDTHS.happened), "─".repeat(WIDTHS.ms), "──");
  }

  /** Runs a step, which returns what happened; prints its row. Throws if the step failed. */
  async step(name, run) {
    const began = performance.now();
    const row = { step: name, happened: "", ms: 0, ok: false };
    this.rows.push(row);
    try {
      row.happened = await Promise.race([run(), tooLong()]);
      row.ok = true;
    } catch (error) {
      row.happened = String(error.message ?? error);
      throw error;
    } finally {
      row.ms = Math.round(performance.now() - began);
      print(row.step, row.happened, String(row.ms), row.ok ? "ok" : "NO");
    }
  }

  async save(file) {
    await writeFile(file, `${JSON.stringify(this.rows, null, 2)}\n`);
  }
}

async function tooLong() {
  await sleep(PATIENCE_MS, undefined, { ref: false });
  throw new StepFailure(`not done after ${PATIENCE_MS / 1000} s`);
}

function print(step, happened, ms, ok) {
  const lines = wrap(happened, WIDTHS.happened);
  lines.forEach((line, index) => {
    const first = index === 0;
    const cells = [(first ? step : "").padEnd(WIDTHS.step), line.padEnd(WIDTHS.happened), (first ? ms : "").padStart(WIDTHS.ms), first ? ok : ""];
    console.log(cells.join("  ").trimEnd());
  });
}

function wrap(text, width) {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const line = lines[lines.length - 1];
    if (line && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return lines;
}
