// Rows: what was measured, what it was measured against, and whether that met its aim.

/** A row of rates (larger is better): ours ÷ the baseline's. */
export function rates(row) {
  return judged({ ...row, ratio: row.ours / row.baseline });
}

/** A row of times (smaller is better): ours ÷ the baseline's. */
export function times(row) {
  return judged({ ...row, ratio: row.ours / row.baseline });
}

/** A row of times, turned round: how many times faster than the baseline. */
export function lead(row) {
  return judged({ ...row, ratio: row.baseline / row.ours });
}

/** A row with nothing to compare with: the aim, if there is one, is about the figure itself. */
export function figure(row) {
  return judged({ ...row, baseline: null, ratio: null });
}

const HOLDS = { ">=": (a, b) => a >= b, ">": (a, b) => a > b, "<=": (a, b) => a <= b };

/** An aim is written `[">=", 0.9]`; a row without one has `aim` and `met` null. */
function judged({ name, runtime, bytes = null, ours, baseline, unit, ratio, aim }) {
  const value = ratio ?? ours;
  const met = aim ? HOLDS[aim[0]](value, aim[1]) : null;
  return {
    name,
    runtime,
    bytes,
    ours: rounded(ours),
    baseline: rounded(baseline),
    unit,
    ratio: rounded(ratio),
    aim: aim ? (ratio === null ? `${aim[0]} ${aim[1]} ${unit}` : `${aim[0]} ${aim[1]}`) : null,
    met,
  };
}

// Four digits: more would pretend a precision that a benchmark has not.
function rounded(number) {
  return number === null ? null : Number(number.toPrecision(4));
}

/** The rows as a table for people. */
export function table(rows) {
  const head = ["", "what", "runtime", "bytes", "ours", "baseline", "unit", "ratio", "aim"];
  const cells = rows.map((row) => [
    { true: "✓", false: "✗ missed", null: "" }[row.met],
    row.name,
    row.runtime,
    row.bytes === null ? "" : size(row.bytes),
    row.ours,
    row.baseline ?? "",
    row.unit,
    row.ratio?.toFixed(2) ?? "",
    row.aim ?? "",
  ].map(String));
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column].length)));
  const numeric = new Set([3, 4, 5, 7]);
  const line = (row) => row.map((cell, column) => (numeric.has(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))).join("  ").trimEnd();
  return [line(head), ...cells.map(line)].join("\n");
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = bytes === 0 ? 0 : Math.min(3, Math.floor(Math.log2(bytes) / 10));
  return `${Number((bytes / 1024 ** power).toFixed(1))} ${units[power]}`;
}
