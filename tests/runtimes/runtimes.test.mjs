// The package in each runtime that it says it runs in: the real one, with the package as npm installs it,
// against a real server.
import { copyFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { openBrowser } from './stage/browsers.mjs';
import { bundle } from './stage/bundle.mjs';
import { report } from './stage/outcomes.mjs';
import { bin, output, startWorkerd } from './stage/processes.mjs';
import { World } from './stage/world.mjs';

let world;
before(async () => (world = await World.open()));
after(() => world?.close());

const DENO = ['run', '--no-prompt', '--allow-net=127.0.0.1', '--allow-read=.', '--no-config', '--node-modules-dir=manual'];
const PROCESSES = {
  Node: { program: process.execPath, args: [], line: 'direct' },
  Deno: { program: bin('deno'), args: DENO, line: 'direct' },
  // Bun's TLS takes no authority whose names are constrained to addresses, as that of `keyhaven dev` are.
  Bun: { program: bin('bun'), args: ['run'], line: 'relayed' },
};

for (const [name, { program, args, line }] of Object.entries(PROCESSES)) {
  test(name, async (t) => {
    const ca = world.keyhaven.env.KEYHAVEN_CACERT;
    const env = { NODE_EXTRA_CA_CERTS: ca, DENO_CERT: ca, DENO_NO_UPDATE_CHECK: '1', DENO_DIR: path.join(world.folder, 'deno') };
    const given = ['programs/process.mjs', JSON.stringify(world[line])];
    await report(t, JSON.parse(await output(program, [...args, ...given], { cwd: world.app, env })));
  });
}

test('workerd', async (t) => {
  const folder = path.join(world.folder, 'workerd');
  const entry = path.join(world.app, 'programs/workerd.mjs');
  const wasm = { resolve: (name) => ({ path: `./${name}`, external: true }) };
  const modules = await bundle({ entry, folder, conditions: ['workerd', 'worker', 'browser'], format: 'esm', wasm });
  await copyFile(world.keyhaven.env.KEYHAVEN_CACERT, path.join(folder, 'ca.pem'));
  await writeFile(path.join(folder, 'config.capnp'), workerdConfig(modules));
  const workerd = await startWorkerd(folder);
  t.after(workerd.stop);
  const answer = await fetch(workerd.address, { method: 'POST', body: JSON.stringify(world.direct) });
  await report(t, await answer.json());
});

test('Vercel’s edge runtime', async (t) => {
  const folder = path.join(world.folder, 'edge');
  const entry = path.join(world.app, 'programs/edge.mjs');
  // As Next.js does it: the module is a global of the function, compiled outside of it.
  const wasm = {
    resolve: (name, wanted) => (wanted.endsWith('?module') ? { path: name, namespace: 'wasm' } : { errors: [{ text: `${wanted} is no ?module` }] }),
    load: () => ({ contents: 'export default globalThis.wasm_keyhaven' }),
  };
  const [module] = await bundle({ entry, folder, conditions: ['edge-light', 'worker', 'browser'], format: 'iife', wasm });
  const env = { NODE_EXTRA_CA_CERTS: world.keyhaven.env.KEYHAVEN_CACERT };
  const given = [path.join(folder, 'worker.js'), path.join(folder, module), JSON.stringify(world.direct)];
  const printed = await output(process.execPath, [new URL('stage/edge-host.mjs', import.meta.url).pathname, ...given], { cwd: folder, env });
  await report(t, JSON.parse(printed));
});

for (const name of ['Chromium', 'Firefox']) {
  test(name, async (t) => {
    const browser = await openBrowser(name, path.join(world.folder, name));
    t.after(() => browser.close());
    for (const place of ['page', 'worker', 'serviceWorker']) {
      await t.test(place, async (t) => {
        const page = await browser.newPage();
        await page.goto(`${world.front.address}/programs/page.html`);
        await page.waitForFunction(() => globalThis.playIn);
        await report(t, await page.evaluate((...given) => globalThis.playIn(...given), place, world.relayed));
        await page.close();
      });
    }
  });
}

function workerdConfig(modules) {
  const wasm = modules.map((name) => `(name = "${name}", wasm = embed "${name}")`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (
      allow = ["private"],
      tlsOptions = (trustBrowserCas = false, trustedCertificates = [embed "ca.pem"]),
    )),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js"), ${wasm.join(', ')}],
  compatibilityDate = "2026-11-01",
);
`;
}
