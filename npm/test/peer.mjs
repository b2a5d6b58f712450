// The server's side of the protocol, written a second time from docs/formats.md with Node's own crypto:
// so that the client is tested against bytes that none of its own code made. Keys in the clear, in
// memory, no policy: it is no server. The real one is in server.test.mjs. Hybrid keys are sealed by `@hpke`.

import * as crypto from 'node:crypto';
import { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core';
import { XWing } from '@hpke/hybridkem-x-wing';
import { Events } from './peer-events.mjs';

const sha256 = (...parts) => crypto.createHash('sha256').update(Buffer.concat(parts)).digest();
const u32 = (number) => { const b = Buffer.alloc(4); b.writeUInt32BE(number); return b; };
const u64 = (number) => { const b = Buffer.alloc(8); b.writeBigUInt64BE(BigInt(number)); return b; };
const uuidBytes = (text) => Buffer.from(text.replaceAll('-', ''), 'hex');
const base64 = (bytes) => Buffer.from(bytes).toString('base64');

/** §1: a label, then fields, each after its length. */
const transcript = (purpose, ...fields) =>
  Buffer.concat([Buffer.from(`keyhaven/v1/${purpose}`), ...fields].flatMap((field) => [u32(field.length), field]));

/** HPKE, RFC 9180: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. */
function hpkeSeal(recipient, info, aad, plaintext) {
  const hmac = (key, data) => crypto.createHmac('sha256', key).update(data).digest();
  const label = (suite, name) => Buffer.concat([Buffer.from('HPKE-v1'), suite, Buffer.from(name)]);
  const extract = (suite, salt, name, ikm) => hmac(salt, Buffer.concat([label(suite, name), ikm]));
  const expand = (suite, prk, name, context, length) => {
    const size = Buffer.from([length >> 8, length & 255]);
    return hmac(prk, Buffer.concat([size, label(suite, name), context, Buffer.from([1])])).subarray(0, length);
  };
  const none = Buffer.alloc(0);
  const kem = Buffer.from('4b454d0020', 'hex');
  const hpke = Buffer.from('48504b45002000010002', 'hex');
  const ephemeral = crypto.generateKeyPairSync('x25519');
  const enc = ephemeral.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  const spki = Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), recipient]);
  const publicKey = crypto.createPublicKey({ key: spki, type: 'spki', format: 'der' });
  const dh = crypto.diffieHellman({ privateKey: ephemeral.privateKey, publicKey });
  const shared = expand(kem, extract(kem, none, 'eae_prk', dh), 'shared_secret', Buffer.concat([enc, recipient]), 32);
  const schedule = Buffer.concat([
    Buffer.from([0]),
    extract(hpke, none, 'psk_id_hash', none),
    extract(hpke, none, 'info_hash', info),
  ]);
  const secret = extract(hpke, shared, 'secret', none);
  const key = expand(hpke, secret, 'key', schedule, 32);
  const nonce = expand(hpke, secret, 'base_nonce', schedule, 12);
  const cipher = crypto.createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(aad);
  const body = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  return { enc, body, dh };
}

/** The same with X-Wing, by an implementation that shares no code with ours. */
async function hybridSeal(recipient, info, aad, plaintext) {
  const suite = new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
  const recipientPublicKey = await suite.kem.deserializePublicKey(new Uint8Array(recipient));
  const sender = await suite.createSenderContext({ recipientPublicKey, info });
  return { enc: Buffer.from(sender.enc), body: Buffer.from(await sender.seal(plaintext, aad)) };
}

const dated = (headers) => Number(/;created=(\d+)/.exec(headers.get('signature-input'))[1]);

function contextHash(context) {
  const pairs = Object.entries(context).map((pair) => pair.map((text) => Buffer.from(text)));
  pairs.sort(([one], [two]) => Buffer.compare(one, two));
  return sha256(transcript('encryption-context', u64(pairs.length), ...pairs.flat()));
}

/** One deployment with one key, which serves devices by a `fetch` of its own. */
export class Peer {
  key = crypto.randomUUID();
  version = 1;
  keyring = crypto.randomUUID();
  deployment = crypto.randomUUID();
  /** Set to refuse with that code. */
  refuse;
  /** Set to seal by the X25519 half of a hybrid key alone. */
  downgrade = false;
  /** Changes a delivery's bytes on the way, as an attacker would. */
  tamper = (bytes) => bytes;
  leaseSeconds;
  /** Gives other terms than were asked for, signed all the same. */
  terms = (terms) => terms;
  /** Refuses requests dated before (Unix seconds), as a server does that has just begun anew. */
  floor = 0;
  /** Set to a promise to answer only then. */
  held;
  requests = [];
  /** What nobody but the two sides may see: agreed secrets and data keys. */
  secrets = [];
  #issuer = crypto.generateKeyPairSync('ed25519');
  #node = crypto.generateKeyPairSync('ed25519');
  #devices = new Map();
  #dataKeys = new Map();
  events = new Events((stream, head) => this.#signedEvent(stream, head));

  get issuer() {
    return base64(this.#raw(this.#issuer));
  }

  /** The data keys that it made, in the clear. */
  get dataKeys() {
    return [...this.#dataKeys.values()].map(({ dataKey }) => dataKey);
  }

  /** Makes a data key, or takes up one that another made, and gives it encrypted, too. */
  makeDataKey(dataKey = undefined) {
    const head = [Buffer.from('KHC1'), Buffer.from([1]), uuidBytes(this.key), u32(this.version)];
    const encrypted = Buffer.concat([...head, crypto.randomBytes(112)]);
    const made = dataKey ? Buffer.from(dataKey) : crypto.randomBytes(32);
    this.#dataKeys.set(base64(encrypted), { dataKey: made, version: this.version });
    return { encrypted: new Uint8Array(encrypted), dataKey: new Uint8Array(made) };
  }

  /** The data key of that encrypted form. */
  dataKeyOf(encrypted) {
    return this.#dataKeys.get(base64(Buffer.from(encrypted)))?.dataKey;
  }

  /** How a message's header names the key and its version. */
  get providerInfo() {
    return new Uint8Array(Buffer.concat([uuidBytes(this.key), u32(this.version)]));
  }

  fetch = async (url, init) => {
    const { pathname, search } = new URL(url);
    const target = pathname.slice(pathname.indexOf('/api/v1/'));
    const headers = new Headers(init.headers);
    const body = Buffer.from(init.body ?? '');
    const document = init.method === 'POST' ? JSON.parse(body) : {};
    this.requests.push({ path: target, authorization: headers.get('authorization'), document });
    await this.held;
    if (this.offline) throw new TypeError('fetch failed');
    const device = this.#authenticate(init.method, target, search, headers, body, document);
    if (!device) return this.#problem(401, 'device_proof_invalid');
    if (dated(headers) < this.floor) return this.#problem(401, 'device_proof_too_old');
    if (target === '/api/v1/lease-events') return this.events.response(init.signal, new URLSearchParams(search));
    if (this.refuse) return this.#problem(403, this.refuse);
    if (target === '/api/v1/devices') return this.#enrolled(device);
    return this.#deliver(device, target.endsWith('/unseal-data-key'), document);
  };

  /** Stops the key, and tells it; `at` is the time. */
  stopKey(at) {
    this.events.announce(1, Buffer.concat([uuidBytes(this.key), Buffer.alloc(16)]), at);
  }

  /** Gives the key another version, and tells it. */
  rotateKey() {
    this.version += 1;
    this.events.announce(4, Buffer.concat([uuidBytes(this.key), u32(this.version), Buffer.alloc(12)]));
  }

  /** Tells that policies changed. */
  changePolicy() {
    this.events.announce(3, Buffer.alloc(32));
  }

  /** Tells that a device was revoked: its id, or one that looks like it. */
  revokeDevice(id) {
    this.events.announce(2, Buffer.from(id, 'base64url'));
  }

  #signedEvent(stream, head) {
    const [number, serial, code, subject, at] = head;
    const signed = transcript('lease-event', uuidBytes(this.deployment), stream, number, serial, code, subject, at);
    const signature = crypto.sign(null, signed, this.#node.privateKey);
    return Buffer.concat([Buffer.from('KHE2'), ...head, signature, this.#certificate()]);
  }

  #raw({ publicKey }) {
    return publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  }

  #certificate() {
    const now = Math.floor(Date.now() / 1000);
    const claims = [uuidBytes(this.deployment), this.#raw(this.#node), u64(now - 60), u64(now + 3600)];
    const signature = crypto.sign(null, transcript('node-certificate', ...claims), this.#issuer.privateKey);
    return Buffer.concat([Buffer.from([1]), ...claims, signature]);
  }

  /** RFC 9421, by the authentication key that the device enrolled, or enrols now. */
  #authenticate(method, path, search, headers, body, document) {
    const input = headers.get('signature-input') ?? '';
    const id = /keyid="([^"]+)"/.exec(input)?.[1];
    const keys = this.#devices.get(id) ?? (path === '/api/v1/devices' ? Buffer.from(document.keys, 'base64') : undefined);
    const digest = `sha-256=:${base64(sha256(body))}:`;
    if (!keys || headers.get('content-digest') !== digest) return undefined;
    const base = [
      `"@method": ${method}`,
      `"@path": ${path}`,
      `"@query": ?${search.slice(1)}`,
      `"content-digest": ${digest}`,
      `"@signature-params": ${input.slice('keyhaven='.length)}`,
    ].join('\n');
    const point = keys.subarray(-65);
    const jwk = { kty: 'EC', crv: 'P-256', x: point.subarray(1, 33).toString('base64url'), y: point.subarray(33).toString('base64url') };
    const key = { key: crypto.createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
    const signature = Buffer.from(/^keyhaven=:(.+):$/.exec(headers.get('signature'))[1], 'base64');
    if (!crypto.verify('sha256', Buffer.from(base), key, signature)) return undefined;
    this.#devices.set(id, keys);
    return { id, keys };
  }

  #enrolled({ id }) {
    const { deployment, issuer } = this;
    return Response.json({ device: id, enrolment_epoch: 1, deployment, issuer, server_time: 0 });
  }

  async #deliver({ keys }, unseal, document) {
    const { context, nonce, usage } = document;
    let encrypted = document.encrypted_data_key;
    if (!unseal) encrypted = base64(this.makeDataKey().encrypted);
    const known = this.#dataKeys.get(encrypted);
    if (!known) return this.#problem(400, 'ciphertext_invalid');
    const flags = usage.reduce((bits, word) => bits | { encrypt: 1, decrypt: 2, export: 4 }[word], 0);
    const asked = { seconds: this.leaseSeconds ?? document.lease_s, grace: document.offline_grace_s ?? 0 };
    const terms = this.terms({ nonce: Buffer.from(nonce, 'base64'), context, flags, ...asked });
    const delivery = base64(this.tamper(await this.#seal(keys, known, terms)));
    const { key, keyring } = this;
    return Response.json({ delivery, encrypted_data_key: encrypted, key, version: known.version, keyring });
  }

  /** To a device of one suite, the first by `docs/formats.md`'s older layout of keys. */
  async #seal(keys, { dataKey, version }, { nonce, context, flags, seconds, grace }) {
    const [sealing, point] = [keys.subarray(3, -65), keys.subarray(-65)];
    const thumbprint = sha256(transcript('device', keys.subarray(2, 3), sealing, point));
    const [suite, recipient] = this.downgrade ? [Buffer.from([1]), sealing.subarray(-32)] : [keys.subarray(2, 3), sealing];
    const commitment = crypto.createHmac('sha256', transcript('data-key-commitment')).update(dataKey).digest();
    const now = Math.floor(Date.now() / 1000);
    const header = Buffer.concat([
      thumbprint, nonce, uuidBytes(this.key), u32(version), u32(flags), commitment, contextHash(context),
      u64(1), u64(now), u64(now + seconds), u32(grace), u64(1), u64(1),
    ]);
    const place = [uuidBytes(this.deployment), uuidBytes(this.keyring), thumbprint, u64(1), sha256(keys)];
    const info = transcript('delivery-info', suite, ...place);
    const seal = suite[0] === 2 ? hybridSeal : hpkeSeal;
    const { enc, body, dh } = await seal(recipient, info, transcript('delivery-header', suite, header), dataKey);
    this.secrets.push(dataKey, ...(dh ? [dh] : []));
    const signed = transcript('delivery-signature', suite, header, enc, sha256(body));
    const signature = crypto.sign(null, signed, this.#node.privateKey);
    return Buffer.concat([Buffer.from('KHD1'), suite, header, enc, body, signature, this.#certificate()]);
  }

  #problem(status, code) {
    const problem = { type: `about:${code}`, title: code, status, code, detail: `refused: ${code}`, request_id: 'r-1' };
    return new Response(JSON.stringify(problem), { status, headers: { 'content-type': 'application/problem+json' } });
  }
}
