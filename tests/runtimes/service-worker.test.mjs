// Encrypted files in a page, through the Service Worker's helper: pictures show, videos play and seek, ranges are
// ranges, and what may not be read is not.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { openBrowser } from './stage/browsers.mjs';
import { World } from './stage/world.mjs';

const MIB = 1024 * 1024;
const VIDEO = await readFile(new URL('../../examples/web-app/public/beacon.webm', import.meta.url));

let world;
before(async () => (world = await World.open()));
after(() => world?.close());

for (const name of ['Chromium', 'Firefox']) {
  test(name, async (t) => {
    const browser = await openBrowser(name, path.join(world.folder, name));
    t.after(() => browser.close());
    const page = await browser.newPage();
    await page.goto(`${world.front.address}/programs/files.html?${new URLSearchParams({ settings: JSON.stringify(world.relayed) })}`);
    await page.waitForFunction(() => globalThis.ready);
    const object = (label) => `${name}-${label}`;
    const bytesSent = (label) => world.front.objects.sent.get(`/objects/${object(label)}`) ?? 0;

    await t.test('a picture shows', async () => {
      const size = await page.evaluate(async (object) => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 300, height: 200 });
        canvas.getContext('2d').fillRect(10, 10, 50, 50);
        const png = await new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
        await globalThis.store(object, new Uint8Array(await png.arrayBuffer()));
        const picture = document.querySelector('#picture');
        picture.src = `/media/${object}?type=image/png`;
        await picture.decode();
        return [picture.naturalWidth, picture.naturalHeight];
      }, object('picture'));
      assert.deepEqual(size, [300, 200]);
    });

    await t.test('a video plays, and seeks', async () => {
      const times = await page.evaluate(async (object, base64) => {
        await globalThis.store(object, Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
        const video = document.querySelector('#video');
        const happened = (event) => new Promise((resolve, reject) => {
          video.addEventListener(event, resolve, { once: true });
          video.addEventListener('error', () => reject(new Error(video.error.message)), { once: true });
        });
        const loaded = happened('loadeddata');
        video.src = `/media/${object}?type=video/webm`;
        await loaded;
        const seeked = happened('seeked');
        video.currentTime = 6.5;
        await seeked;
        const playing = happened('timeupdate');
        await video.play();
        await playing;
        video.pause();
        return [video.duration, video.currentTime];
      }, object('video'), VIDEO.toString('base64'));
      assert.equal(Math.round(times[0]), 8);
      assert.ok(times[1] >= 6.5, `at ${times[1]} s`);
    });

    await t.test('any part is had', async () => {
      await page.evaluate((object, length) => globalThis.store(object, globalThis.pattern(length)), object('large'), 6 * MIB);
      const ranges = [[0, 1], [3_345_678, 3_445_678], [6 * MIB - 5, 6 * MIB], [4 * MIB - 10, 4 * MIB + 10]];
      const answers = await page.evaluate(async (object, size, ranges) => {
        const all = globalThis.pattern(size);
        const found = [];
        for (const [from, to] of ranges) {
          const answer = await fetch(`/media/${object}`, { headers: { range: `bytes=${from}-${to - 1}` } });
          const bytes = new Uint8Array(await answer.arrayBuffer());
          const right = bytes.length === to - from && bytes.every((byte, at) => byte === all[from + at]);
          found.push([answer.status, answer.headers.get('content-range'), answer.headers.get('cache-control'), right]);
        }
        return found;
      }, object('large'), 6 * MIB, ranges);
      assert.deepEqual(answers, ranges.map(([from, to]) => [206, `bytes ${from}-${to - 1}/${6 * MIB}`, 'no-store', true]));
    });

    await t.test('the whole of it comes as a stream', async () => {
      const right = await page.evaluate(async (object, size) => {
        const bytes = new Uint8Array(await (await fetch(`/media/${object}`)).arrayBuffer());
        const all = globalThis.pattern(size);
        return bytes.length === size && bytes.every((byte, at) => byte === all[at]);
      }, object('large'), 6 * MIB);
      assert.ok(right);
    });

    await t.test('a changed frame is an error where it is, and not elsewhere', async () => {
      const [before, within] = await page.evaluate(async (object, length) => {
        await globalThis.store(object, globalThis.pattern(length), (message) => {
          message[Math.floor(message.length * 0.7)] ^= 1;
          return message;
        });
        const ask = async (range) => {
          const answer = await fetch(`/media/${object}`, { headers: { range } });
          if (answer.status !== 206) return (await answer.json()).code;
          return answer.arrayBuffer().then((bytes) => bytes.byteLength, () => 'broken');
        };
        const place = Math.floor(length * 0.7);
        return [await ask('bytes=0-99'), await ask(`bytes=${place}-${place + 99}`)];
      }, object('changed'), 2 * MIB);
      assert.equal(before, 100);
      assert.match(String(within), /^(message_refused|broken)$/);
      await page.waitForFunction(() => globalThis.failures.some(({ code }) => code === 'message_refused'));
    });

    await t.test('when the key is stopped, nothing is served any more, and the page hears why', async () => {
      await world.keyhaven.run('key', 'disable', 'letters');
      try {
        const refused = await page.waitForFunction(async (object) => {
          const answer = await fetch(`/media/${object}`, { headers: { range: 'bytes=0-9' } });
          return answer.status !== 206 && [answer.status, answer.headers.get('content-type'), await answer.text()];
        }, {}, object('large'));
        const [status, type, text] = await refused.jsonValue();
        assert.ok(status >= 400 && status < 600, `status ${status}`);
        assert.equal(type, 'application/problem+json');
        const { code } = JSON.parse(text);
        await page.waitForFunction((code) => globalThis.failures.some((failure) => failure.code === code), {}, code);
      } finally {
        await world.keyhaven.run('key', 'enable', 'letters');
      }
    });

    await t.test('no cache of the browser holds a decrypted file', async () => {
      assert.deepEqual(await page.evaluate(() => caches.keys()), []);
      const fetched = bytesSent('picture');
      await page.evaluate((object) => fetch(`/media/${object}?type=image/png`).then((answer) => answer.arrayBuffer()), object('picture'));
      assert.ok(bytesSent('picture') > fetched, 'it was decrypted anew');
    });
  });
}
