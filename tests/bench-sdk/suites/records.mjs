// One small record as a whole message, under a data key at hand.
import { aws } from "#aws";
import { interleaved } from "../measure.mjs";
import { lead, times } from "../report.mjs";
import { wasmCipher } from "../subjects/cipher.mjs";
import { connected, opening, sealing } from "../subjects/keyhaven.mjs";
import { expectLength } from "../subjects/streams.mjs";
import { webCrypto } from "../subjects/webcrypto.mjs";

const KIB = 1024;
/** Bytes of a record; the most its time may be ÷ that of the bare bytes; the least its lead over the AWS SDK. */
const SIZES = [
  { bytes: 64, bare: 3 },
  { bytes: KIB, bare: 3, aws: 10 },
  { bytes: 64 * KIB, bare: 1.3 },
  { bytes: KIB * KIB, bare: 1.1, aws: 2 },
];
const MANY = { records: 1000, bytes: KIB };

export async function run({ stage, quick, tell }) {
  const client = await connected(stage);
  const parts = {
    client,
    webCrypto: await webCrypto(),
    cipher: await wasmCipher(stage),
    aws: await aws({ cached: false }),
    awsCached: await aws({ cached: true }),
  };
  const effort = quick ? { rounds: 3, sampleMs: 5 } : { rounds: 15, sampleMs: 25 };
  const rows = [];
  try {
    for (const size of SIZES) {
      const told = (text) => tell(`${size.bytes} bytes, ${text}`);
      rows.push(...(await oneRecord(size, parts, { ...effort, tell: told, runtime: stage.runtime })));
    }
    rows.push(...(await manyRecords(parts, { rounds: quick ? 2 : 7, tell, runtime: stage.runtime })));
  } finally {
    await client.close();
  }
  return rows;
}

async function oneRecord({ bytes, bare, aws: least }, parts, effort) {
  const data = crypto.getRandomValues(new Uint8Array(Math.min(bytes, 65_536)));
  const record = new Uint8Array(bytes).map((_, at) => data[at % data.length]);
  const { encrypt, decrypt } = await subjects(record, parts);
  const measured = { encrypt: await interleaved(encrypt, effort), decrypt: await interleaved(decrypt, effort) };
  return Object.entries(measured).flatMap(([name, medians]) => {
    const micros = (subject) => medians[subject] * 1000;
    const row = { runtime: effort.runtime, bytes, unit: "µs", ours: micros("ours") };
    const better = Math.min(micros("webcrypto"), micros("wasm"));
    return [
      times({ ...row, name: `record ${name} ÷ bare bytes (${better === micros("wasm") ? "Wasm" : "WebCrypto"})`, baseline: better, aim: ["<=", bare] }),
      lead({ ...row, name: `AWS Encryption SDK ÷ record ${name}`, baseline: micros("aws"), aim: least && [">=", least] }),
      lead({ ...row, name: `AWS Encryption SDK, its data keys cached ÷ record ${name}`, baseline: micros("awsCached") }),
    ];
  });
}

async function subjects(record, { client, webCrypto, cipher, aws, awsCached }) {
  const options = { context: sealing.context };
  const sealed = {
    ours: await client.encrypt(record, sealing),
    webcrypto: await webCrypto.encrypt(record),
    wasm: cipher.encrypt(record),
    aws: await aws.encrypt(record, options),
    awsCached: await awsCached.encrypt(record, options),
  };
  expectLength((await client.decrypt(sealed.ours, opening)).length, record.length, "keyhaven");
  return {
    encrypt: {
      ours: repeat(() => client.encrypt(record, sealing)),
      webcrypto: repeat(() => webCrypto.encrypt(record)),
      wasm: repeatSync(() => cipher.encrypt(record)),
      aws: repeat(() => aws.encrypt(record, options)),
      awsCached: repeat(() => awsCached.encrypt(record, options)),
    },
    decrypt: {
      ours: repeat(() => client.decrypt(sealed.ours, opening)),
      webcrypto: repeat(() => webCrypto.decrypt(sealed.webcrypto)),
      wasm: repeatSync(() => cipher.decrypt(sealed.wasm)),
      aws: repeat(() => aws.decrypt(sealed.aws)),
      awsCached: repeat(() => awsCached.decrypt(sealed.awsCached)),
    },
  };
}

// What one call with many records saves against as many bare operations one after another.
async function manyRecords({ client, webCrypto, cipher }, { rounds, tell, runtime }) {
  if (!client.encryptMany) return [];
  const records = Array.from({ length: MANY.records }, () => crypto.getRandomValues(new Uint8Array(MANY.bytes)));
  const sealed = await client.encryptMany(records, sealing);
  const bare = { wasm: await Promise.all(records.map((record) => cipher.encrypt(record))), webcrypto: await Promise.all(records.map((record) => webCrypto.encrypt(record))) };
  const each = (list, act) => async () => {
    for (const item of list) await act(item);
  };
  const measured = {
    encryptMany: await interleaved({
      ours: () => client.encryptMany(records, sealing),
      webcrypto: each(records, webCrypto.encrypt),
      wasm: () => records.forEach(cipher.encrypt),
    }, { rounds, tell: (text) => tell(`encryptMany, ${text}`) }),
    decryptMany: await interleaved({
      ours: () => client.decryptMany(sealed, opening),
      webcrypto: each(bare.webcrypto, webCrypto.decrypt),
      wasm: () => bare.wasm.forEach(cipher.decrypt),
    }, { rounds, tell: (text) => tell(`decryptMany, ${text}`) }),
  };
  return Object.entries(measured).map(([name, { ours, webcrypto, wasm }]) =>
    times({ name: `${MANY.records} records by ${name} ÷ bare bytes`, runtime, bytes: MANY.bytes * MANY.records, unit: "ms", ours, baseline: Math.min(webcrypto, wasm) }));
}

function repeat(act) {
  return async (count) => {
    for (let done = 0; done < count; done += 1) await act();
  };
}

function repeatSync(act) {
  return (count) => {
    for (let done = 0; done < count; done += 1) act();
  };
}
