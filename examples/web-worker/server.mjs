// The small backend that the page needs: it serves files, mints tickets, and relays to Keyhaven.
// It knows no login: everyone is the user `visitor`. Put your own in its place (see ../web-app).
import { createServer } from 'node:http';
import https from 'node:https';
import { readFile } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import process from 'node:process';

const { KEYHAVEN_ADDR, KEYHAVEN_ISSUER, KEYHAVEN_TOKEN, PORT = '8481' } = process.env;
const KEY = 'drafts';
const SUBJECT = 'visitor';

const TYPES = { html: 'text/html; charset=utf-8', mjs: 'text/javascript', js: 'text/javascript', wasm: 'application/wasm' };
// Workers have a policy of their own, from their own script's answer: so each file carries it.
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; worker-src 'self'";

const ROUTES = {
  'GET /settings': () => ({ key: KEY, issuer: KEYHAVEN_ISSUER }),
  'POST /ticket': ({ operation, context, device }) =>
    mint(`keys/${KEY}/tickets`, { subject: SUBJECT, operations: [operation], context, context_exact: true, device }),
  'POST /enrolment': (_, origin) => mint('enrolment-tokens', { subject: SUBJECT, origin }),
};

/** A request with the backend's own token, which may mint, and opens nothing. */
async function mint(what, body) {
  const headers = { authorization: `Bearer ${KEYHAVEN_TOKEN}`, 'content-type': 'application/json' };
  const answer = await fetch(`${KEYHAVEN_ADDR}/api/v1/${what}`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`Keyhaven refuses: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://app.invalid');
  const own = `http://${request.headers.host}`;
  // What another site's page sends carries its origin.
  if (request.method !== 'GET' && request.headers.origin !== own) return void response.writeHead(403).end();
  if (pathname.startsWith('/keyhaven/')) return relay(request, response);
  const route = ROUTES[`${request.method} ${pathname}`];
  if (!route) return file(pathname, response);
  const body = Buffer.concat(await request.toArray());
  const document = await route(body.length > 0 ? JSON.parse(body) : {}, own);
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));
}

async function file(pathname, response) {
  const [, sdk, name] = /^\/(sdk\/)?((?:(?:page|wasm)\/)?[\w-]+\.(?:html|mjs|js|wasm))$/.exec(pathname === '/' ? '/index.html' : pathname) ?? [];
  const folder = sdk ? 'node_modules/@keyhaven/sdk/' : 'public/';
  const bytes = name && (await readFile(new URL(`${folder}${name}`, import.meta.url)).catch(() => undefined));
  if (!bytes) return void response.writeHead(404).end();
  const headers = { 'content-type': TYPES[name.split('.').pop()], 'content-security-policy': POLICY, 'x-content-type-options': 'nosniff' };
  response.writeHead(200, headers).end(bytes);
}

/** Passes on what the page asks Keyhaven for. It is sealed and signed: a relay reads no key, and changes nothing. */
function relay(request, response) {
  const { host: _, origin: __, cookie: ___, ...headers } = request.headers;
  const onward = https.request(new URL(request.url.slice('/keyhaven'.length), KEYHAVEN_ADDR), { method: request.method, headers });
  onward.on('response', (answer) => {
    response.writeHead(answer.statusCode, answer.headers).flushHeaders();
    pipeline(answer, response, () => {});
  });
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  request.pipe(onward);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
});
server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
