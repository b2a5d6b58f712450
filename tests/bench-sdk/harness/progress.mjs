// One line that says what is being done: rewritten on a terminal, printed now and then elsewhere.
const HEARTBEAT_MS = 15_000;
let last = 0;

/** Shows a line; without one, clears it. */
export function progress(text = "") {
  const { stderr } = process;
  if (stderr.isTTY) {
    stderr.write(`\r\x1b[2K${text.slice(0, stderr.columns - 1)}`);
  } else if (text && Date.now() - last > HEARTBEAT_MS) {
    last = Date.now();
    stderr.write(`${text}\n`);
  }
}
