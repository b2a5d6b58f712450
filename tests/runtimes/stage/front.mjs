// Serves the pages and the package, answers as the application's backend, and relays to Keyhaven.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { pipeline } from 'node:stream';

import { Objects } from './objects.mjs';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src 'self'; media-src 'self'";

export class Front {
  #server;
  #line;
  #policies = new Map();
  /** The address of the pages and the backend. */
  address;
  /** How often each path was asked for. */
  requests = new Map();
  /** What pages store. */
  objects = new Objects();
  /** Whether neither Keyhaven nor the backend can be reached: pages and files still can. */
  cut = false;
  /** May change a file before it is sent: gets the path, the bytes and the headers; gives the bytes. */
  tamper = (_path, bytes, _headers) => bytes;

  /** Starts it. `folders` are served under their names; `tokens` mints for the backend's two endpoints. */
  static async start(line) {
    const front = new Front();
    front.#line = line;
    front.#server = http.createServer((request, response) => {
      front.#answer(request, response).catch((error) => {
        if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
        response.end(String(error));
      });
    });
    front.#server.listen(0, '127.0.0.1');
    await once(front.#server, 'listening');
    front.address = `http://127.0.0.1:${front.#server.address().port}`;
    return front;
  }

  /** Serves one more folder, under `/name/`, with a content security policy of its own if need be. */
  serve(name, folder, policy = POLICY) {
    this.#line.folders[name] = folder;
    this.#policies.set(name, policy);
  }

  async stop() {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request, response) {
    const { pathname } = new URL(request.url, this.address);
    this.requests.set(pathname, (this.requests.get(pathname) ?? 0) + 1);
    if (this.cut && (pathname.startsWith('/keyhaven/') || request.method === 'POST')) return void response.destroy();
    if (pathname.startsWith('/keyhaven/')) return this.#relay(request, response);
    if (pathname.startsWith('/objects/')) return this.objects.answer(request, response);
    if (request.method === 'POST') return this.#mint(pathname.slice(1), request, response);
    return this.#file(pathname, response);
  }

  async #mint(kind, request, response) {
    const want = JSON.parse(Buffer.concat(await request.toArray()));
    const token = await this.#line.tokens[kind](want);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ token }));
  }

  async #file(pathname, response) {
    const [, name, ...rest] = pathname.split('/');
    const folder = this.#line.folders[name];
    const file = folder && path.join(folder, path.normalize(`/${rest.join('/')}`));
    const read = file && (await readFile(file).catch(() => undefined));
    if (!read) return void response.writeHead(404).end();
    const headers = { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream', 'service-worker-allowed': '/', 'content-security-policy': this.#policies.get(name) ?? POLICY };
    const bytes = this.tamper(pathname, read, headers);
    response.writeHead(200, headers).end(bytes);
  }

  #relay(request, response) {
    const { keyhaven, ca } = this.#line;
    const to = new URL(request.url.replace('/keyhaven', ''), keyhaven);
    // A relay answers for the pages' origin itself.
    const { host: _, connection: __, origin: ___, ...headers } = request.headers;
    const onward = https.request(to, { method: request.method, headers, ca }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      response.flushHeaders();
      pipeline(answer, response, () => {});
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }
}
