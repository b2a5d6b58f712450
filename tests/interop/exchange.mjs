// The package's half of `all/rust_client/exchange.rs`: reads one JSON document, with data to encrypt and messages to
// decrypt in base64, and answers with another.
import path from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

const { KEYHAVEN_ADDR, KEYHAVEN_ISSUER, KEYHAVEN_NPM_PACKAGE } = process.env;
const { connect } = await import(pathToFileURL(path.join(KEYHAVEN_NPM_PACKAGE, 'dist/node.js')));
const wish = JSON.parse(await text(process.stdin));
const { key, subject, token, context } = wish;

async function mint(what, body) {
  const answer = await fetch(`${KEYHAVEN_ADDR}/api/v1/${what}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${what}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

const keyhaven = await connect({
  url: KEYHAVEN_ADDR,
  issuer: KEYHAVEN_ISSUER,
  enrolment: async () => (await mint('enrolment-tokens', { subject })).token,
  ticket: async (want) => (await mint(`keys/${want.key}/tickets`, { subject, operations: [want.operation], context: want.context })).ticket,
});
const bytes = (base64) => Buffer.from(base64, 'base64');
const base64 = (array) => Buffer.from(array).toString('base64');
const code = (promise) => promise.then(() => 'none', (error) => error.code);
const answer = { messages: [], opened: [] };
for (const data of wish.data) answer.messages.push(base64(await keyhaven.encrypt(bytes(data), { key, context })));
for (const message of wish.messages) answer.opened.push(base64(await keyhaven.decrypt(bytes(message), { context })));
const last = bytes(wish.messages.at(-1));
answer.wrong_context = await code(keyhaven.decrypt(last, { context: { customer: '43' } }));
answer.cut = await code(keyhaven.decrypt(last.subarray(0, -1), { context }));
await keyhaven.close();
process.stdout.write(JSON.stringify(answer));
