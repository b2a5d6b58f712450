// A page whose files are encrypted: its Service Worker decrypts what it shows.
import { connect } from '/sdk/page/index.js';

const settings = JSON.parse(new URL(location).searchParams.get('settings'));
const post = async (path, want = {}) => (await (await fetch(`${settings.backend}${path}`, { method: 'POST', body: JSON.stringify(want) })).json()).token;
const connected = connect({ ...settings, ticket: (want) => post('/ticket', want), enrolment: () => post('/enrolment') });

/** Failures that the Service Worker told of. */
globalThis.failures = [];
navigator.serviceWorker.addEventListener('message', ({ data }) => globalThis.failures.push(data));

/** Encrypts bytes and stores them under a name. */
globalThis.store = async (name, bytes, change = (message) => message) => {
  const message = await (await connected).encrypt(bytes, { key: 'letters', context: { file: name } });
  await fetch(`/objects/${name}`, { method: 'PUT', body: change(message) });
};

/** Bytes that tell where they are. */
globalThis.pattern = (length) => Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 255);

const claimed = new Promise((resolve) => navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true }));
await navigator.serviceWorker.register(`/programs/files-worker.mjs?${new URL(location).searchParams}`, { type: 'module', scope: '/' });
if (!navigator.serviceWorker.controller) await claimed;
globalThis.ready = true;
