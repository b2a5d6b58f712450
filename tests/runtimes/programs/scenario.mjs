// What every runtime must be able to do. It uses nothing that only one of them has.

/** The steps, in order. Each gets what the ones before it left in `made`. */
const STEPS = [
  ['connects, and enrols this device', async ({ sdk, settings, made }) => {
    made.client = await connected(sdk, settings);
    must(/^[\w-]{43}$/.test(made.client.device), `the device has the id ${made.client.device}`);
  }],
  ['encrypts and decrypts a small message', async ({ made }) => {
    made.data = new TextEncoder().encode('a letter');
    made.message = await made.client.encrypt(made.data, { key: KEY, context: CONTEXT });
    mustEqual(await made.client.decrypt(made.message, { context: CONTEXT }), made.data);
  }],
  ['reads a header without a client', async ({ sdk, made }) => {
    const { keyVersion, context, signed } = await sdk.inspect(made.message);
    must(keyVersion === 1 && context.letter === '1' && signed === false, 'the header tells something else');
  }],
  ['encrypts and decrypts a stream', async ({ made }) => {
    const data = pattern(300_000);
    made.long = await through(pieces(data, 7_000), made.client.encryptStream({ key: KEY, context: CONTEXT }));
    must(made.long.length > data.length, 'the message is too short');
    mustEqual(await through(pieces(made.long, 100_000), made.client.decryptStream({ context: CONTEXT })), data);
  }],
  ['signs a message, and refuses one whose signature was changed', async ({ sdk, made }) => {
    const signed = await made.client.encrypt(made.data, { key: KEY, context: CONTEXT, signed: true });
    mustEqual(await made.client.decrypt(signed, { context: CONTEXT }), made.data);
    signed[signed.length - 3] ^= 1;
    await refused(made.client.decrypt(signed), sdk, 'IntegrityError', 'message_refused');
  }],
  ['refuses a changed message', async ({ sdk, made }) => {
    const changed = made.message.slice();
    changed[changed.length - 3] ^= 1;
    await refused(made.client.decrypt(changed), sdk, 'IntegrityError', 'message_refused');
  }],
  ['refuses a message about something else', async ({ sdk, made }) => {
    const asked = made.client.decrypt(made.message, { context: { letter: '2' } });
    await refused(asked, sdk, 'IntegrityError', 'context_mismatch');
  }],
  ['ends a stream that is cut off with an error', async ({ sdk, made }) => {
    const cut = made.long.subarray(0, made.long.length - 1);
    await refused(through(pieces(cut, 50_000), made.client.decryptStream()), sdk, 'TruncatedError', 'message_truncated');
  }],
  ['gives up a stream when told to', async ({ made }) => {
    const giveUp = new AbortController();
    const stream = made.client.decryptStream({ signal: giveUp.signal });
    const reading = through(pieces(made.long, 1_000, (count) => count === 20 && giveUp.abort(new Error('enough'))), stream);
    const error = await reading.then(() => undefined, (thrown) => thrown);
    must(error?.message === 'enough', `the stream ended with ${error}`);
  }],
  ['does not read ahead of its reader', async ({ made }) => {
    let pulled = 0;
    const source = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array((pulled += 1) && 65_536)) });
    const reader = source.pipeThrough(made.client.encryptStream({ key: KEY, context: CONTEXT })).getReader();
    await reader.read();
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
    must(pulled < 200, `${pulled} pieces were read for one that was taken`);
    await reader.cancel();
  }],
  ['ends a download that breaks off with an error', async ({ settings, made }) => {
    const object = `${settings.backend}/objects/scenario`;
    await fetch(object, { method: 'PUT', body: made.long });
    const download = async (cut) => through(await fetch(`${object}${cut}`), made.client.decryptStream());
    must((await download('')).length === 300_000, 'the whole download is shorter');
    const error = await download('?cut=200000').then(() => undefined, (thrown) => thrown);
    must(error !== undefined, 'a part of the download passed for the whole');
  }],
  ['holds leases, and ends them when it is closed', async ({ sdk, made }) => {
    const reasons = [];
    must(made.client.leases.current.length > 0, 'there is no lease');
    made.client.leases.addEventListener('leaseended', ({ reason }) => reasons.push(reason));
    await made.client.close();
    must(reasons.length > 0 && reasons.every((reason) => reason === 'closed'), `the leases ended by ${reasons}`);
    await refused(made.client.decrypt(made.message), sdk, 'KeyhavenError', 'closed');
  }],
];

const KEY = 'letters';
const CONTEXT = { letter: '1' };

/** Plays the first `count` steps; says of each how it ended. One that fails ends the play. */
export async function play(sdk, settings, count = STEPS.length) {
  const made = {};
  const outcomes = [];
  for (const [step, run] of STEPS.slice(0, count)) {
    const outcome = { step };
    outcomes.push(outcome);
    try {
      await run({ sdk, settings, made });
    } catch (error) {
      outcome.error = `${error?.name} ${error?.code}: ${error?.message}\n${error?.stack}\n${error?.cause ?? ''}`;
      break;
    }
  }
  await made.client?.close();
  return outcomes;
}

/** Milliseconds from before the package is imported to the first decrypted byte, less the answers' time. */
export async function coldStart(load, settings) {
  const began = performance.now();
  let waited = 0;
  const timed = async (...request) => {
    const asked = performance.now();
    try {
      return await fetch(...request);
    } finally {
      waited += performance.now() - asked;
    }
  };
  const sdk = await load();
  const imported = performance.now();
  const client = await connected(sdk, settings, timed);
  const connectedAt = performance.now();
  const message = await client.encrypt(new Uint8Array(64), { key: KEY, context: CONTEXT });
  await client.decrypt(message);
  const decrypted = performance.now();
  await client.close();
  return { imported: imported - began, connected: connectedAt - began, decrypted: decrypted - began, waited };
}

async function connected(sdk, { url, backend, issuer }, fetcher) {
  const ask = async (path, want) => {
    const answer = await (fetcher ?? fetch)(`${backend}${path}`, { method: 'POST', body: JSON.stringify(want) });
    must(answer.ok, `the backend answered ${answer.status}`);
    return (await answer.json()).token;
  };
  return sdk.connect({
    url,
    issuer,
    storage: 'memory',
    ticket: (want) => ask('/ticket', want),
    enrolment: () => ask('/enrolment', {}),
    ...(fetcher && { fetch: fetcher }),
  });
}

/** A stream of bytes in pieces; `between` hears how many were taken. */
function pieces(bytes, size, between = () => {}) {
  let at = 0;
  let count = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, (at += size)));
      between((count += 1));
    },
  });
}

/** All that comes out of a stream when `source`, a stream or an answer, goes through it. */
async function through(source, stream) {
  const reader = (source.body ?? source).pipeThrough(stream).getReader();
  const parts = [];
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) parts.push(value);
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function pattern(length) {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 255);
}

async function refused(promise, sdk, name, code) {
  const error = await promise.then(() => undefined, (thrown) => thrown);
  const right = error instanceof sdk[name] && error.name === name && error.code === code;
  must(right, `expected ${name} ${code}, found ${error?.name} ${error?.code}`);
}

function mustEqual(found, expected) {
  must(found.length === expected.length && found.every((byte, at) => byte === expected[at]), 'the bytes differ');
}

function must(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}
