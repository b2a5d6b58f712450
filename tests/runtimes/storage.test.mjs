// Devices and leases that a browser keeps: between tabs, over restarts, without the server, and when they are lost.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { openBrowser } from './stage/browsers.mjs';
import { World } from './stage/world.mjs';

let world;
before(async () => (world = await World.open()));
after(() => world?.close());

for (const name of ['Chromium', 'Firefox']) {
  test(name, async (t) => {
    const profile = path.join(world.folder, name);
    let browser = await openBrowser(name, profile);
    t.after(() => browser.close());
    t.after(() => (world.front.cut = false));

    const connect = (page) => page.evaluate(() => globalThis.connected());
    const write = (page, text) => page.evaluate((text) => globalThis.written(text), text);
    const read = (page, message) => page.evaluate((message) => globalThis.read(message), message);
    const end = (page, how) => page.evaluate((how) => globalThis.ended(how), how);
    const enrolled = () => world.front.requests.get('/enrolment') ?? 0;
    let device;
    let message;

    await t.test('two tabs that enrol at once are one device', async () => {
      const began = enrolled();
      const tabs = [await tab(browser), await tab(browser)];
      const devices = await Promise.all(tabs.map(connect));
      assert.match(devices[0], /^[\w-]{43}$/);
      assert.equal(devices[0], devices[1]);
      assert.equal(enrolled(), began + 1);
      [device] = devices;
      message = await write(tabs[0], 'from one tab');
      assert.equal(await read(tabs[1], message), 'from one tab');
      for (const page of tabs) {
        await end(page, 'close');
        await page.close();
      }
    });

    await t.test('no page is isolated for it, and none has shared memory', async () => {
      const page = await tab(browser);
      assert.deepEqual(await page.evaluate(() => [globalThis.crossOriginIsolated, typeof globalThis.SharedArrayBuffer]), [false, 'undefined']);
      await page.close();
    });

    await t.test('after the browser was restarted, without the server, what was read can be read, and more written', async () => {
      await browser.close();
      browser = await openBrowser(name, profile);
      world.front.cut = true;
      const page = await tab(browser);
      assert.equal(await connect(page), device);
      assert.equal(await read(page, message), 'from one tab');
      const offline = await write(page, 'on the train');
      assert.ok(Array.isArray(offline), offline);
      await end(page, 'close');
      world.front.cut = false;
      const online = await tab(browser);
      await connect(online);
      assert.equal(await read(online, offline), 'on the train');
      await end(online, 'close');
    });

    await t.test('after logging out nothing is kept, and nothing is read without the server', async () => {
      const page = await tab(browser);
      await connect(page);
      assert.equal(await read(page, message), 'from one tab');
      await end(page, 'logout');
      assert.deepEqual(await page.evaluate(() => globalThis.kept()), { devices: 1, leases: 0, times: 0 });
      world.front.cut = true;
      await connect(page);
      assert.equal(await read(page, message), 'Backend: no_token');
      await end(page, 'close');
      world.front.cut = false;
    });

    await t.test('a browser that lost everything enrols another device, which is told apart', async () => {
      const began = enrolled();
      const page = await tab(browser);
      await connect(page);
      assert.equal(await read(page, message), 'from one tab');
      await end(page, 'close');
      await page.evaluate(() => globalThis.evicted());
      const other = await connect(page);
      assert.match(other, /^[\w-]{43}$/);
      assert.notEqual(other, device);
      assert.equal(enrolled(), began + 1);
      assert.equal(await read(page, message), 'from one tab');
      await end(page, 'forget');
      assert.deepEqual(await page.evaluate(() => globalThis.kept()), { devices: 0, leases: 0, times: 0 });
    });
  });
}

test('a browser that may store nothing says so, and no token is spent', async (t) => {
  const profile = path.join(world.folder, 'blocked');
  await mkdir(path.join(profile, 'Default'), { recursive: true });
  // As the user's setting "block all site data" leaves it.
  await writeFile(path.join(profile, 'Default/Preferences'), '{"profile":{"default_content_setting_values":{"cookies":2}}}');
  const browser = await openBrowser('Chromium', profile);
  t.after(() => browser.close());
  const page = await tab(browser);
  const began = world.front.requests.get('/enrolment') ?? 0;
  assert.equal(await page.evaluate(() => globalThis.connected()), 'UnsupportedError: storage_unavailable');
  assert.equal(world.front.requests.get('/enrolment') ?? 0, began);
});

async function tab(browser) {
  const page = await browser.newPage();
  await page.goto(`${world.front.address}/programs/storage.html?${new URLSearchParams({ settings: JSON.stringify(world.relayed) })}`);
  await page.waitForFunction(() => globalThis.ready);
  return page;
}
