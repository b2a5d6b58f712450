// An edge function that keeps personal data encrypted: what it stores and forwards, only it can read.
//
//     PUT /notes/NAME    encrypts the body, and stores the message
//     GET /notes/NAME    reads the message, and decrypts it
import { connect, KeyhavenError, RefusedError } from '@keyhaven/sdk';

const KEY = 'notes';

/** One client for as long as this instance of the function lives: its device enrols once. */
let client;

export default {
  async fetch(request, env) {
    const name = /^\/notes\/([\w-]{1,64})$/.exec(new URL(request.url).pathname)?.[1];
    if (!name) return new Response('There is nothing at this address.\n', { status: 404 });
    try {
      const keyhaven = await (client ??= connected(env));
      if (request.method === 'PUT') return await put(keyhaven, env.NOTES, name, request);
      if (request.method === 'GET') return await get(keyhaven, env.NOTES, name);
      return new Response('Use GET or PUT.\n', { status: 405 });
    } catch (error) {
      if (!(error instanceof KeyhavenError)) throw error;
      return Response.json({ code: error.code, detail: error.message }, { status: error.status ?? 502 });
    }
  },
};

async function put(keyhaven, store, name, request) {
  // The name is bound to the data: a message that was moved to another name does not open there.
  const note = new Uint8Array(await request.arrayBuffer());
  await store.put(name, await keyhaven.encrypt(note, { key: KEY, context: { note: name } }));
  return new Response(null, { status: 204 });
}

async function get(keyhaven, store, name) {
  const message = await store.get(name, 'arrayBuffer');
  if (!message) return new Response('There is no such note.\n', { status: 404 });
  const note = await keyhaven.decrypt(new Uint8Array(message), { context: { note: name } });
  return new Response(note, { headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' } });
}

/** Connects as a device of the function's own principal. Its token may mint tickets for it, and nothing else. */
async function connected(env) {
  const mint = async (path, body) => {
    const headers = { authorization: `Bearer ${env.KEYHAVEN_TOKEN}`, 'content-type': 'application/json' };
    const answer = await fetch(`${env.KEYHAVEN_ADDR}/api/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    const document = await answer.json();
    if (!answer.ok) throw new RefusedError(document.code, document.detail, answer.status, document.request_id);
    return document;
  };
  try {
    return await connect({
      url: env.KEYHAVEN_ADDR,
      issuer: env.KEYHAVEN_ISSUER,
      deviceName: 'edge function',
      ticket: async ({ operation, key, context, device }) => {
        const want = { subject: 'edge', operations: [operation], context, context_exact: true, device };
        return (await mint(`keys/${key}/tickets`, want)).ticket;
      },
      enrolment: async () => (await mint('enrolment-tokens', { subject: 'edge' })).token,
    });
  } catch (error) {
    client = undefined;
    throw error;
  }
}
