// The worker: the client lives here. A file comes in as a `Blob`, which is not copied, and leaves as one.
import { connect } from '/sdk/page/index.js';

const post = async (path, body) => {
  const answer = await fetch(path, { method: 'POST', body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`the backend answered ${answer.status}`);
  return answer.json();
};

// Begun at once and awaited below: a message that comes while the worker's script still runs would be lost.
const client = connected();

async function connected() {
  const { key, issuer } = await (await fetch('/settings')).json();
  const keyhaven = await connect({
    url: `${location.origin}/keyhaven`,
    issuer,
    ticket: async (want) => (await post('/ticket', want)).ticket,
    enrolment: async () => (await post('/enrolment', {})).token,
  });
  return { keyhaven, key };
}

addEventListener('message', async ({ data: { file } }) => {
  try {
    postMessage({ encrypted: await encrypted(file) });
  } catch ({ code = 'failed', message }) {
    postMessage({ error: { code, message } });
  }
});

/** The file, encrypted and bound to its name. Its parts are blobs, which the browser may keep on disk. */
async function encrypted(file) {
  const { keyhaven, key } = await client;
  const stream = file.stream().pipeThrough(keyhaven.encryptStream({ key, context: { file: file.name } }));
  const reader = stream.getReader();
  let whole = new Blob();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    whole = new Blob([whole, value]);
    postMessage({ progress: Math.min(1, whole.size / file.size) });
  }
  return whole;
}
