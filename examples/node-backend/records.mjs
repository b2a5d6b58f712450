// A backend that encrypts each record before it is stored, so that its database holds ciphertext only.
//
//     node records.mjs put ID FILE     encrypts the file's content under the record's id
//     node records.mjs get ID          decrypts it to the standard output
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { Readable, Writable } from 'node:stream';

import { connect, KeyhavenError, RefusedError } from '@keyhaven/sdk';

const { KEYHAVEN_ADDR, KEYHAVEN_ISSUER, KEYHAVEN_TOKEN, RECORDS = 'records' } = process.env;
const KEY = 'records';
const SUBJECT = 'backend';

/** A request with the backend's own token. It may mint tickets for its principal, and nothing else. */
async function mint(what, body) {
  const answer = await fetch(`${KEYHAVEN_ADDR}/api/v1/${what}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEYHAVEN_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const document = await answer.json();
  if (!answer.ok) throw new RefusedError(document.code, document.detail, answer.status, document.request_id);
  return document;
}

/** The client. Node keeps its device in memory: each start of the backend enrols a new one. */
function connected() {
  return connect({
    url: KEYHAVEN_ADDR,
    issuer: KEYHAVEN_ISSUER,
    deviceName: 'records backend',
    enrolment: async () => (await mint('enrolment-tokens', { subject: SUBJECT })).token,
    ticket: async ({ operation, key, context, device }) => {
      const want = { subject: SUBJECT, operations: [operation], context, context_exact: true, device };
      return (await mint(`keys/${key}/tickets`, want)).ticket;
    },
  });
}

async function put(keyhaven, id, file) {
  await mkdir(RECORDS, { recursive: true });
  // The id is bound to the data: a message that was moved to another record does not open there.
  await Readable.toWeb(createReadStream(file))
    .pipeThrough(keyhaven.encryptStream({ key: KEY, context: { record: id } }))
    .pipeTo(Writable.toWeb(createWriteStream(path.join(RECORDS, id), { mode: 0o600 })));
}

async function get(keyhaven, id) {
  // Each frame comes out as soon as it is verified: a message that is cut off ends with an error, so do not
  // act on a record before its end.
  await Readable.toWeb(createReadStream(path.join(RECORDS, id)))
    .pipeThrough(keyhaven.decryptStream({ context: { record: id } }))
    .pipeTo(Writable.toWeb(process.stdout));
}

const [command, id, file] = process.argv.slice(2);
if (!/^[\w-]{1,64}$/.test(id ?? '') || (command === 'put') !== Boolean(file)) {
  console.error('usage: node records.mjs put ID FILE | get ID');
  process.exit(2);
}
const keyhaven = await connected();
try {
  await (command === 'put' ? put(keyhaven, id, file) : get(keyhaven, id));
} catch (error) {
  if (!(error instanceof KeyhavenError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await keyhaven.close();
}
