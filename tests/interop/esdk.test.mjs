// The AWS Encryption SDK for JavaScript and this package read each other's messages. The data key is one that the
// server's other side (npm/test/peer.mjs) made; a raw AES key may open the same message beside it.

import assert from 'node:assert/strict';
import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  AlgorithmSuiteIdentifier as Suite, CommitmentPolicy, EncryptedDataKey, KeyringNode, MultiKeyringNode, RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier, buildClient,
} from '@aws-crypto/client-node';
import * as keyhaven from '../../npm/dist/node.js';
import { Peer } from '../../npm/test/peer.mjs';
import { optionsFor } from '../../npm/test/stage.mjs';

const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const context = { album: 'summer', 'café': 'ü' };
const SUITES = { unsigned: Suite.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY, signed: Suite.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY_ECDSA_P384 };
const SIZES = [0, 1, 100, 4_096, 9_000, 262_144, 600_001];

/** What a Keyhaven server does for the other SDK: makes data keys, and opens them. */
class PeerKeyring extends KeyringNode {
  constructor(peer) {
    super();
    this.peer = peer;
  }

  async _onEncrypt(material) {
    // The generator's data key, if it is not the one to make it.
    const given = material.hasUnencryptedDataKey ? material.getUnencryptedDataKey().export() : undefined;
    const { encrypted, dataKey } = this.peer.makeDataKey(given);
    if (!material.hasUnencryptedDataKey) {
      material.setUnencryptedDataKey(dataKey, { keyNamespace: 'keyhaven', keyName: 'key', flags: 1 });
    }
    const rawInfo = this.peer.providerInfo;
    const key = { providerId: 'keyhaven', providerInfo: 'key', rawInfo, encryptedDataKey: encrypted };
    return material.addEncryptedDataKey(new EncryptedDataKey(key), 2);
  }

  async _onDecrypt(material, keys) {
    const ours = keys.find(({ providerId }) => providerId === 'keyhaven');
    const dataKey = ours && this.peer.dataKeyOf(ours.encryptedDataKey);
    if (dataKey) material.setUnencryptedDataKey(new Uint8Array(dataKey), { keyNamespace: 'keyhaven', keyName: 'key', flags: 4 });
    return material;
  }
}

async function stage(t) {
  const peer = new Peer();
  const client = await keyhaven.connect(optionsFor(peer));
  t.after(() => client.close());
  return { peer, client, keyring: new PeerKeyring(peer) };
}

function rawKeyring() {
  const unencryptedMasterKey = new Uint8Array(randomBytes(32));
  return new RawAesKeyringNode({
    keyName: 'wrapping key', keyNamespace: 'keyhaven-tests', unencryptedMasterKey,
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
  });
}

const streamed = async (data, stream) => {
  const out = [];
  for await (const piece of new Blob([data]).stream().pipeThrough(stream)) out.push(piece);
  return Buffer.concat(out);
};

test('what this package writes, signed or not, whole or streamed, the AWS SDK reads', async (t) => {
  const { client, keyring } = await stage(t);
  for (const size of SIZES) {
    const data = randomBytes(size);
    const options = { key: 'photos', context };
    const messages = [
      await client.encrypt(data, options), await client.encrypt(data, { ...options, signed: true }),
      await streamed(data, client.encryptStream(options)), ...(await client.encryptMany([data], options)),
    ];
    for (const message of messages) {
      const { plaintext, messageHeader } = await decrypt(keyring, Buffer.from(message));
      assert.ok(data.equals(plaintext), `${size} bytes`);
      assert.equal(messageHeader.encryptionContext.album, 'summer');
    }
  }
});

test('what the AWS SDK writes, in frames of any length, this package reads whole, as a stream and in parts', async (t) => {
  const { client, keyring } = await stage(t);
  for (const size of SIZES) {
    const data = randomBytes(size);
    for (const frameLength of [4_096, 65_536, 1_000_003]) {
      const { result } = await encrypt(keyring, data, { encryptionContext: context, frameLength, suiteId: SUITES.unsigned });
      assert.ok(data.equals(await client.decrypt(result, { context })), `${size} bytes in frames of ${frameLength}`);
      assert.ok(data.equals(await streamed(result, client.decryptStream({ context }))));
      const opened = await client.open(result);
      assert.ok(data.subarray(size >> 1).equals(await opened.read(size >> 1, size)));
      opened.close();
    }
    const { result } = await encrypt(keyring, data, { encryptionContext: context, suiteId: SUITES.signed });
    assert.ok(data.equals(await client.decrypt(result, { context })), `${size} bytes, signed`);
  }
});

test('a message for several recipients is read by each', async (t) => {
  const { client, keyring } = await stage(t);
  const raw = rawKeyring();
  const both = new MultiKeyringNode({ generator: raw, children: [keyring] });
  const data = randomBytes(20_000);
  for (const suiteId of Object.values(SUITES)) {
    const { result } = await encrypt(both, data, { encryptionContext: context, suiteId });
    assert.ok(data.equals(await client.decrypt(result, { context })));
    assert.ok(data.equals((await decrypt(raw, result)).plaintext));
  }
});

test('a message in one piece, which neither of the two writes, is read by both', async (t) => {
  const { client, peer, keyring } = await stage(t);
  for (const size of [0, 1, 4_096, 600_001]) {
    const data = randomBytes(size);
    const message = unframed(peer, data);
    assert.ok(data.equals((await decrypt(keyring, message)).plaintext), `${size} bytes`);
    assert.equal(client.inspect(message).frameLength, undefined);
    assert.ok(data.equals(await client.decrypt(message, { context: { album: 'summer' } })));
    assert.ok(data.equals(await streamed(message, client.decryptStream())));
    for (const at of [message.length - 1, message.length - 17, message.length - size - 20]) {
      const changed = Buffer.from(message);
      changed[at] ^= 1;
      await assert.rejects(decrypt(keyring, changed), `byte ${at} of ${size}`);
      await assert.rejects(client.decrypt(changed), keyhaven.KeyhavenError, `byte ${at} of ${size}`);
    }
  }
});

/** A message of suite 0x0478 whose body is one piece, by the message format's specification. */
function unframed(peer, data) {
  const { encrypted, dataKey } = peer.makeDataKey();
  const [suite, id] = [Buffer.from([0x04, 0x78]), randomBytes(32)];
  const derived = (label) => Buffer.from(hkdfSync('sha512', dataKey, id, label, 32));
  const key = derived(Buffer.concat([suite, Buffer.from('DERIVEKEY')]));
  const seal = (iv, aad, plaintext) => {
    const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(aad);
    return [cipher.update(plaintext), cipher.final(), cipher.getAuthTag()];
  };
  const field = (bytes) => Buffer.concat([number(2, bytes.length), bytes]);
  const pairs = Object.entries(context).flatMap((pair) => pair.map((text) => field(Buffer.from(text))));
  const header = Buffer.concat([
    Buffer.from([2]), suite, id, field(Buffer.concat([number(2, pairs.length / 2), ...pairs])),
    number(2, 1), field(Buffer.from('keyhaven')), field(peer.providerInfo), field(encrypted),
    Buffer.from([1]), number(4, 0), derived(Buffer.from('COMMITKEY')),
  ]);
  const iv = number(12, 1);
  const aad = Buffer.concat([id, Buffer.from('AWSKMSEncryptionClient Single Block'), number(4, 1), number(8, data.length)]);
  return Buffer.concat([header, ...seal(Buffer.alloc(12), header, Buffer.alloc(0)), iv, number(8, data.length), ...seal(iv, aad, data)]);
}

/** A number in so many bytes, big-endian. */
function number(size, value) {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntBE(value, Math.max(0, size - 6), Math.min(size, 6));
  return bytes;
}

test('a changed message is refused by both, and one without our data key is named as such', async (t) => {
  const { client, keyring } = await stage(t);
  const message = Buffer.from(await client.encrypt(randomBytes(9_000), { key: 'photos', context }));
  for (let at = 40; at < message.length; at += 331) {
    const changed = Buffer.from(message);
    changed[at] ^= 1;
    await assert.rejects(decrypt(keyring, changed), `byte ${at}`);
    await assert.rejects(client.decrypt(changed), keyhaven.KeyhavenError, `byte ${at}`);
  }
  const { result } = await encrypt(rawKeyring(), randomBytes(10), { suiteId: SUITES.unsigned });
  await assert.rejects(client.decrypt(result), { code: 'message_foreign' });
});
