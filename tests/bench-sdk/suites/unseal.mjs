// Opening a sealed data key: key agreement, key schedule, AEAD. Ours ÷ `@hpke/core`'s on the same suite.
import { interleaved } from "../measure.mjs";
import { figure, times } from "../report.mjs";
import { hpke } from "../subjects/hpke.mjs";
import { connected, opening, sealing } from "../subjects/keyhaven.mjs";

// As long as those of a delivery.
const INFO = new Uint8Array(220);
const AAD = new Uint8Array(220);
const SUITES = [{ kind: "classical", aim: 0.5 }, { kind: "hybrid", aim: 0.6 }];

export async function run({ stage, quick, tell }) {
  const effort = quick ? { rounds: 3, sampleMs: 10 } : { rounds: 15, sampleMs: 50 };
  const rows = [];
  for (const { kind, aim } of SUITES) {
    const client = await connected(stage, { sealing: kind });
    try {
      const delivery = await captured(stage, client);
      const { runtime } = stage;
      const medians = await interleaved(
        { ours: delivery.open, whole: delivery.verifyAndOpen, hpke: repeat(await hpke(kind, { info: INFO, aad: AAD })) },
        { ...effort, tell: (text) => tell(`${kind}, ${text}`) },
      );
      const micros = (name) => medians[name] * 1000;
      rows.push(
        times({ name: `unseal, ${kind} ÷ @hpke/core`, runtime, bytes: 32, unit: "µs", ours: micros("ours"), baseline: micros("hpke"), aim: ["<=", aim] }),
        figure({ name: `verify and unseal, ${kind}`, runtime, bytes: 32, unit: "µs", ours: micros("whole") }),
      );
    } finally {
      await client.close();
    }
  }
  return rows;
}

// The package has no call that only opens a sealed key, and should have none. So one real answer is caught on its
// way through the package's own parts, which can then verify and open it again and again.
async function captured({ sdk }, client) {
  const [{ Device }, { DataKeyRequest }] = await Promise.all([import(`${sdk}/dist/device.js`), import(`${sdk}/wasm/keyhaven_sdk.js`)]);
  const caught = {};
  const restore = [
    spied(DataKeyRequest.prototype, "verify", (request, args) => {
      for (const part of [request, ...args]) if (typeof part === "object") part.free = () => {};
      Object.assign(caught, { request, args });
    }),
    spied(Device.prototype, "open", (device) => Object.assign(caught, { device })),
  ];
  await client.decrypt(await client.encrypt(new Uint8Array(1), sealing), opening);
  restore.forEach((undo) => undo());
  const { request, args, device } = caught;
  const verify = () => request.verify(...args);
  const freeing = (handles) => handles.forEach((handle) => handle.free());
  return {
    async open(count) {
      const deliveries = Array.from({ length: count }, verify);
      const handles = [];
      const began = performance.now();
      for (const delivery of deliveries) handles.push(await device.open(delivery));
      const took = performance.now() - began;
      freeing(handles);
      return took;
    },
    async verifyAndOpen(count) {
      const handles = [];
      for (let done = 0; done < count; done += 1) handles.push(await device.open(verify()));
      freeing(handles);
    },
  };
}

function spied(prototype, name, see) {
  const plain = prototype[name];
  prototype[name] = function (...args) {
    see(this, args);
    return plain.apply(this, args);
  };
  return () => (prototype[name] = plain);
}

function repeat(act) {
  return async (count) => {
    for (let done = 0; done < count; done += 1) await act();
  };
}
