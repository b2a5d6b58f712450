// The Service Worker: `/media/NAME?type=…` is the decrypted object of that name.
import { connect } from '/sdk/page/index.js';
import { DecryptedFiles } from '/sdk/page/service-worker.js';

const settings = JSON.parse(new URL(location).searchParams.get('settings'));
const post = async (path, want = {}) => (await (await fetch(`${settings.backend}${path}`, { method: 'POST', body: JSON.stringify(want) })).json()).token;

const files = new DecryptedFiles({
  client: () => connect({ ...settings, ticket: (want) => post('/ticket', want), enrolment: () => post('/enrolment') }),
  find(request) {
    const { pathname, searchParams } = new URL(request.url);
    const name = /^\/media\/([\w-]+)$/.exec(pathname)?.[1];
    return name && { url: `/objects/${name}`, type: searchParams.get('type') ?? 'application/octet-stream', context: { file: name } };
  },
});

addEventListener('install', () => skipWaiting());
addEventListener('activate', (event) => event.waitUntil(clients.claim()));
addEventListener('fetch', (event) => void files.handle(event));
