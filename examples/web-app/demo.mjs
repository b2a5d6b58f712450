// `cargo xtask demo`: Keyhaven in dev mode and this app, to try out. Ctrl-C ends both.
import { createServer } from "node:net";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import path from "node:path";

import { Backend } from "./demo/backend.mjs";
import { Keyhaven } from "./demo/keyhaven.mjs";
import { setUp } from "./demo/setup.mjs";

const PORT = 8480;

const bin = process.env.KEYHAVEN_BIN ?? "keyhaven";
const folder = path.resolve(process.env.KEYHAVEN_TARGET ?? "target", "demo");
const data = path.join(folder, "data");
const log = path.join(folder, "demo.log");
await mkdir(folder, { recursive: true });

console.log("· start keyhaven dev");
const keyhaven = await Keyhaven.start({ bin, dataDir: data, log });
console.log("· set up keyring, key, users and policy");
const token = await setUp(keyhaven);
console.log("· start the web app");
const backend = await Backend.start({
  log,
  settings: {
    KEYHAVEN_ADDR: keyhaven.env.KEYHAVEN_ADDR,
    KEYHAVEN_TOKEN: token,
    NODE_EXTRA_CA_CERTS: keyhaven.env.KEYHAVEN_CACERT,
    ...(keyhaven.env.KEYHAVEN_ISSUER && { KEYHAVEN_ISSUER: keyhaven.env.KEYHAVEN_ISSUER }),
    APP_DATA: path.join(folder, "app"),
    PORT: String(await freePort(PORT)),
  },
});
console.log(box([
  "Keyhaven is ready. Open",
  "",
  `    ${backend.address}`,
  "",
  "as writer, drop a file; then become reader and open it.",
  "",
  "The command line, in another terminal:",
  `    eval "$(${path.relative("", bin) || bin} env --data-dir ${path.relative("", data)})"`,
  "",
  `Log: ${path.relative("", log)} · Ctrl-C ends it; what you made is kept.`,
]));

let ending = false;
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, async () => {
    if (ending) return;
    ending = true;
    await backend.stop();
    await keyhaven.stop();
    process.exit(0);
  });
}

/** The port, so that browsers know the app again; any other if it is taken. */
async function freePort(wanted) {
  const probe = createServer();
  probe.listen(wanted, "127.0.0.1");
  const free = await once(probe, "listening").then(() => true, () => false);
  probe.close();
  return free ? wanted : 0;
}

function box(lines) {
  const width = Math.max(...lines.map((line) => line.length));
  const rows = lines.map((line) => `│ ${line.padEnd(width)} │`);
  return [`╭${"─".repeat(width + 2)}╮`, ...rows, `╰${"─".repeat(width + 2)}╯`].join("\n");
}
