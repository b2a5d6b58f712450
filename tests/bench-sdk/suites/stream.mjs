// A long stream, encrypted and decrypted: our rate ÷ WebCrypto's on the same frames, and ÷ that of others.
import { aws } from "#aws";
import { interleaved } from "../measure.mjs";
import { rates } from "../report.mjs";
import { age } from "../subjects/age.mjs";
import { connected, opening, sealing } from "../subjects/keyhaven.mjs";
import { secretStream } from "../subjects/sodium.mjs";
import { PIECE, drained, expectLength, joined, recorded, replay, source } from "../subjects/streams.mjs";
import { pipelined } from "../subjects/webcrypto.mjs";

const OTHERS = { aws: "AWS Encryption SDK", age: "age-encryption", sodium: "libsodium secretstream" };

export async function run({ stage, quick, tell }) {
  const total = (quick ? 16 : 256) * PIECE;
  const piece = new Uint8Array(PIECE);
  for (let at = 0; at < PIECE; at += 65_536) crypto.getRandomValues(piece.subarray(at, at + 65_536));
  const client = await connected(stage);
  const rounds = quick ? 2 : 5;
  try {
    const setting = { client, total, piece, tell };
    tell("preparing");
    const { subjects, sealed } = await prepare(setting);
    const encrypt = await interleaved(encryptions(setting, subjects), { rounds, tell: (text) => tell(`encrypt, ${text}`) });
    const inputs = await sealed();
    const decrypt = await interleaved(decryptions(setting, subjects, inputs), { rounds, tell: (text) => tell(`decrypt, ${text}`) });
    const rate = (ms) => total / PIECE / (ms / 1000);
    return [["encrypt", encrypt], ["decrypt", decrypt]].flatMap(([name, medians]) => {
      const row = (what, baseline, aim) => rates({
        name: `stream ${name} ÷ ${what}`, runtime: stage.runtime, bytes: total, unit: "MiB/s",
        ours: rate(medians.ours), baseline: rate(medians[baseline]), aim,
      });
      return [row("WebCrypto on the same frames", "webcrypto", [">=", 0.9]), ...Object.keys(OTHERS).map((other) => row(OTHERS[other], other, [">", 1]))];
    });
  } finally {
    await client.close();
  }
}

async function prepare({ client, total, piece }) {
  const first = await recorded(source(PIECE, piece).pipeThrough(client.encryptStream(sealing)));
  const { frameLength } = client.inspect(joined(first));
  const subjects = { raw: await pipelined(frameLength), aws: await aws({ cached: false }), age: await age(), sodium: await secretStream() };
  const options = { context: sealing.context, frameLength };
  const plaintext = joined(Array.from({ length: total / PIECE }, () => piece));
  const sealed = async () => ({
    ours: await recorded(source(total, piece).pipeThrough(client.encryptStream(sealing))),
    frames: await subjects.raw.sealed(piece),
    aws: await subjects.aws.encrypt(plaintext, options),
    age: await recorded(await subjects.age.encrypt(source(total, piece))),
    sodium: subjects.sodium.sealed(total, piece),
  });
  return { subjects: { ...subjects, plaintext, options }, sealed };
}

function encryptions({ client, total, piece }, { raw, aws, age, sodium, plaintext, options }) {
  return {
    ours: async () => atLeast(await drained(source(total, piece).pipeThrough(client.encryptStream(sealing))), total, "keyhaven"),
    webcrypto: () => raw.encrypt(total, piece),
    aws: async () => atLeast(await aws.encryptAll(plaintext, options), total, "aws"),
    age: async () => atLeast(await drained(await age.encrypt(source(total, piece))), total, "age"),
    sodium: async () => sodium.encrypt(total, piece),
  };
}

function decryptions({ client, total }, { raw, aws, age, sodium }, inputs) {
  return {
    ours: async () => expectLength(await drained(replay(inputs.ours).pipeThrough(client.decryptStream(opening))), total, "keyhaven"),
    webcrypto: () => raw.decrypt(total, inputs.frames),
    aws: async () => expectLength(await aws.decryptAll(inputs.aws), total, "aws"),
    age: async () => expectLength(await drained(await age.decrypt(replay(inputs.age))), total, "age"),
    sodium: async () => sodium.decrypt(inputs.sodium),
  };
}

function atLeast(length, total, who) {
  if (length <= total) throw new Error(`${who} gave ${length} bytes for ${total}`);
}
