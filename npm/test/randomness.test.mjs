// A platform whose random generator fails: everything stops, nothing else is used in its place.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Peer } from './peer.mjs';
import { optionsFor } from './stage.mjs';

// The package takes the generator when it is loaded: so it is replaced before.
const genuine = Crypto.prototype.getRandomValues;
let generator = genuine;
Crypto.prototype.getRandomValues = function (array) {
  return Reflect.apply(generator, this, [array]);
};
const keyhaven = await import('@keyhaven/sdk');

const broken = {
  'that throws': () => { throw new Error('no entropy'); },
  'that gives zeros': (array) => array.fill(0),
  'that does nothing': (array) => array,
};

for (const [how, getRandomValues] of Object.entries(broken)) {
  test(`a random generator ${how} is a hard error`, async (t) => {
    const peer = new Peer();
    const options = optionsFor(peer);
    const client = await keyhaven.connect(options);
    t.after(() => client.close());
    const asked = peer.requests.length;
    t.after(() => void (generator = genuine));
    generator = getRandomValues;
    const refused = { name: 'UnsupportedError', code: 'randomness_failed' };
    await assert.rejects(client.encrypt(new Uint8Array(10), { key: 'photos' }), refused);
    await assert.rejects(keyhaven.connect(options), refused);
    assert.equal(peer.requests.length, asked, 'nothing was sent');
  });
}
