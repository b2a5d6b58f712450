// A page whose device and leases are kept in IndexedDB.
import { connect } from '/sdk/page/index.js';

const settings = JSON.parse(new URL(location).searchParams.get('settings'));
const post = async (path, want = {}) => {
  const answer = await fetch(`${settings.backend}${path}`, { method: 'POST', body: JSON.stringify(want) }).catch(() => undefined);
  if (answer) return (await answer.json()).token;
  throw Object.assign(new Error('the backend cannot be reached'), { name: 'Backend', code: 'no_token' });
};
const LETTER = { key: 'letters', context: { letter: '1' } };
let client;

/** Runs one step; its error comes out as its code. */
const step = (act) => async (...given) => {
  try {
    return await act(...given);
  } catch (error) {
    return `${error.name}: ${error.code}`;
  }
};

globalThis.connected = step(async () => {
  const tokens = { ticket: (want) => post('/ticket', want), enrolment: () => post('/enrolment') };
  client = await connect({ ...settings, ...tokens, persist: true, offlineGraceSeconds: 600 });
  return client.device;
});

globalThis.written = step(async (text) => [...(await client.encrypt(new TextEncoder().encode(text), LETTER))]);

globalThis.read = step(async (message) => new TextDecoder().decode(await client.decrypt(Uint8Array.from(message), { context: LETTER.context })));

globalThis.ended = step((how) => client[how]());

/** How many records each store of both databases holds. */
globalThis.kept = async () => {
  const found = {};
  for (const { name } of await indexedDB.databases()) {
    const database = await done(indexedDB.open(name));
    for (const store of database.objectStoreNames) found[store] = (await done(database.transaction(store).objectStore(store).getAll())).length;
    database.close();
  }
  return found;
};

/** Deletes all, as a browser that needs room does. */
globalThis.evicted = async () => {
  for (const { name } of await indexedDB.databases()) await done(indexedDB.deleteDatabase(name));
};

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = request.onblocked = () => reject(request.error ?? new Error('blocked'));
});

globalThis.ready = true;
