// A platform whose random generator fails: everything stops, nothing else is used in its place.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as keyhaven from '@keyhaven/sdk';
import { Peer } from './peer.mjs';

const broken = {
  'that throws': () => { throw new Error('no entropy'); },
  'that gives zeros': (array) => array.fill(0),
  'that does nothing': (array) => array,
};

for (const [how, getRandomValues] of Object.entries(broken)) {
  test(`a random generator ${how} is a hard error`, async (t) => {
    const peer = new Peer();
    const options = {
      url: 'https://keys.example',
      ticket: async () => 'a.ticket.jws',
      enrolment: async () => 'an.enrolment.jws',
      issuer: peer.issuer,
      fetch: peer.fetch,
    };
    const client = await keyhaven.connect(options);
    t.after(() => client.close());
    const asked = peer.requests.length;
    const { prototype } = Crypto;
    const original = Object.getOwnPropertyDescriptor(prototype, 'getRandomValues');
    t.after(() => Object.defineProperty(prototype, 'getRandomValues', original));
    Object.defineProperty(prototype, 'getRandomValues', { ...original, value: getRandomValues });
    const refused = { name: 'UnsupportedError', code: 'randomness_failed' };
    await assert.rejects(client.encrypt(new Uint8Array(10), { key: 'photos' }), refused);
    await assert.rejects(keyhaven.connect(options), refused);
    assert.equal(peer.requests.length, asked, 'nothing was sent');
  });
}
