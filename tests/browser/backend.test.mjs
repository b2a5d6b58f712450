// The example's backend against what other sites' pages, wrong users and a curious page may try.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import test, { after, before } from "node:test";
import { fileURLToPath } from "node:url";

import { Backend } from "../../examples/web-app/demo/backend.mjs";

const TOKEN = "the-backends-own-token";
const FILE = "0f1c0650-66f5-4515-9d5f-90349022ffb9";
const PUBLIC = fileURLToPath(new URL("../../examples/web-app/public/", import.meta.url));

const folder = mkdtempSync(path.join(tmpdir(), "keyhaven-backend-"));
let upstream;
let backend;
/** What reached Keyhaven. */
let arrived = [];

before(async () => {
  upstream = http.createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString("utf8");
    arrived.push({ method: request.method, url: request.url, headers: request.headers, body });
    response.writeHead(200, { "Content-Type": "application/json", "Set-Cookie": "not=passed", "X-Request-Id": "r1" });
    response.end(JSON.stringify({ ticket: "t", token: "e" }));
  });
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  backend = await Backend.start({
    log: path.join(folder, "backend.log"),
    settings: { KEYHAVEN_ADDR: `http://127.0.0.1:${upstream.address().port}`, KEYHAVEN_TOKEN: TOKEN, APP_DATA: folder, PORT: "0" },
  });
});

after(async () => {
  await backend.stop();
  upstream.close();
  rmSync(folder, { recursive: true });
});

/** Sends a request just as it is written here, as `fetch` would not. */
async function send(method, target, { headers = {}, body } = {}) {
  arrived = [];
  const url = new URL(backend.address);
  const request = http.request({ host: url.hostname, port: url.port, method, path: target, headers, agent: false });
  request.end(body);
  const [answer] = await once(request, "response");
  const text = Buffer.concat(await answer.toArray()).toString("utf8");
  return { status: answer.statusCode, headers: answer.headers, text, json: () => JSON.parse(text) };
}

const own = () => ({ origin: backend.address });
const json = (value, headers = own()) => ({ headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(value) });

async function logIn(user) {
  const { headers } = await send("POST", "/app/session", json({ user }));
  return { ...own(), cookie: headers["set-cookie"][0].split(";")[0] };
}

test("other origins, null, and none at all may change nothing", async () => {
  for (const headers of [{ origin: "https://evil.example" }, { origin: "null" }, { origin: `${backend.address}.evil.example` }, {}]) {
    for (const target of ["/app/session", "/app/ticket", "/app/enrolment", "/app/files", "/keyhaven/writer/api/v1/devices"]) {
      const { status, headers: got } = await send("POST", target, json({ user: "writer" }, headers));
      assert.equal(status, 403, `${JSON.stringify(headers)} ${target}`);
      assert.equal(got["access-control-allow-origin"], undefined);
      assert.equal(got["set-cookie"], undefined);
    }
  }
});

test("another origin's preflight is allowed nothing", async () => {
  const headers = { origin: "https://evil.example", "access-control-request-method": "POST" };
  const { status, headers: got } = await send("OPTIONS", "/app/ticket", { headers });
  assert.equal(status, 403);
  assert.equal(Object.keys(got).some((name) => name.startsWith("access-control-")), false);
});

test("another host name is refused, so that no name can be bound to this address", async () => {
  assert.equal((await send("GET", "/app/session", { headers: { host: "evil.example" } })).status, 421);
});

test("what a form can send is refused", async () => {
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
    const { status } = await send("POST", "/app/session", { headers: { ...own(), "content-type": type }, body: '{"user":"writer"}' });
    assert.equal(status, 415, type);
  }
});

test("pages come with a policy without inline scripts, and have none", async () => {
  const { headers } = await send("GET", "/");
  const policy = headers["content-security-policy"];
  assert.match(policy, /default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'sha256-[A-Za-z0-9+/]{43}=';/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe-inline|'unsafe-eval'|\*/);
  const page = readFileSync(path.join(PUBLIC, "index.html"), "utf8");
  assert.doesNotMatch(page, /<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:/i);
});

test("the session cookie is out of reach of scripts and of other sites", async () => {
  const { headers } = await send("POST", "/app/session", json({ user: "reader" }));
  assert.match(headers["set-cookie"][0], /; HttpOnly; SameSite=Strict;/);
});

test("nobody gets a ticket without a login, and a user only their own", async () => {
  const wish = { operation: "UnsealDataKey", file: FILE, device: "d", subject: "writer" };
  assert.equal((await send("POST", "/app/ticket", json(wish))).status, 401);
  const { status } = await send("POST", "/app/ticket", json(wish, await logIn("reader")));
  assert.equal(status, 200);
  const asked = JSON.parse(arrived[0].body);
  assert.equal(asked.subject, "reader");
  assert.deepEqual(asked.context, { app: "keyhaven-demo", file: FILE });
  assert.deepEqual([asked.context_exact, asked.device, asked.uses], [true, "d", 1]);
});

test("no ticket for other operations, or for what is no file", async () => {
  const headers = await logIn("writer");
  for (const wish of [{ operation: "Decrypt", file: FILE, device: "d" }, { operation: "UnsealDataKey", file: "../x", device: "d" }, { operation: "UnsealDataKey", file: FILE }]) {
    assert.equal((await send("POST", "/app/ticket", json(wish, headers))).status, 400, JSON.stringify(wish));
    assert.deepEqual(arrived, []);
  }
});

test("the backend's token never comes back", async () => {
  const headers = await logIn("writer");
  for (const target of ["/app/session", "/", "/app.mjs", "/app/files"]) {
    assert.doesNotMatch((await send("GET", target, { headers })).text, new RegExp(TOKEN));
  }
});

test("the relay passes a device's requests on, and nothing else of the browser's", async () => {
  const headers = { ...(await logIn("writer")), authorization: "Keyhaven-Ticket t", signature: "s", "x-other": "1", "content-type": "application/json" };
  const { status, headers: got } = await send("POST", "/keyhaven/writer/api/v1/keys/app:photos/deliver-data-key", { headers, body: "{}" });
  assert.deepEqual([status, got["x-request-id"], got["set-cookie"]], [200, "r1", undefined]);
  assert.equal(arrived[0].url, "/api/v1/keys/app:photos/deliver-data-key");
  assert.equal(arrived[0].headers.signature, "s");
  assert.deepEqual([arrived[0].headers.cookie, arrived[0].headers["x-other"], arrived[0].headers.origin], [undefined, undefined, undefined]);
});

test("the relay passes no other path, method or credential", async () => {
  for (const [method, target] of [
    ["POST", "/api/v1/keys/app:photos/decrypt"], ["POST", "/api/v1/keys/app:photos/tickets"], ["GET", "/api/v1/devices"],
    ["GET", "/metrics"], ["POST", "/api/v1/keys/../principals"], ["POST", "/api/v1/devices/../principals"], ["POST", "/api/v1/devices?x=1"],
  ]) {
    assert.equal((await send(method, `/keyhaven/writer${target}`, { headers: own() })).status, 404, target);
    assert.deepEqual(arrived, []);
  }
  const bearer = { ...own(), authorization: "Bearer stolen" };
  assert.equal((await send("POST", "/keyhaven/writer/api/v1/devices", json({}, bearer))).status, 403);
  assert.deepEqual(arrived, []);
});

test("no path leads out of the folders that are served", async () => {
  for (const target of ["/../server.mjs", "/..%2fserver.mjs", "/sdk/dist/../package.json", "/sdk/package.json", "/sdk/dist/%2e%2e/package.json", "/.env"]) {
    assert.equal((await send("GET", target)).status, 404, target);
  }
});

test("an upload is its owner's, in order, and ends", async () => {
  const writer = await logIn("writer");
  const { id } = (await send("POST", "/app/files", json({ name: "a", type: "", size: 3 }, writer))).json();
  const put = (offset, headers) => send("PUT", `/app/files/${id}?offset=${offset}`, { headers, body: "abc" });
  assert.equal((await put(0, await logIn("reader"))).status, 409);
  assert.equal((await put(5, writer)).status, 409);
  assert.equal((await put(0, writer)).status, 200);
  assert.equal((await send("GET", `/app/files/${id}`, { headers: writer })).status, 404);
  assert.equal((await send("POST", `/app/files/${id}/complete`, json({}, writer))).status, 200);
  assert.equal((await put(3, writer)).status, 409);
  const part = await send("GET", `/app/files/${id}`, { headers: { ...writer, range: "bytes=0-1" } });
  assert.deepEqual([part.status, part.text, part.headers["content-range"]], [206, "ab", "bytes 0-1/3"]);
});

test("a part that is too large, and a body that is, are refused", async () => {
  const writer = await logIn("writer");
  const { id } = (await send("POST", "/app/files", json({ name: "a", type: "", size: 3 }, writer))).json();
  const large = { headers: { ...writer, "content-length": 9 * 1024 * 1024 } };
  const url = new URL(backend.address);
  const request = http.request({ host: url.hostname, port: url.port, method: "PUT", path: `/app/files/${id}?offset=0`, ...large, agent: false });
  request.on("error", () => {});
  request.end(Buffer.alloc(9 * 1024 * 1024));
  const answer = await Promise.race([once(request, "response").then(([response]) => response.statusCode), once(request, "close").then(() => "closed")]);
  assert.ok(answer === 413 || answer === "closed", String(answer));
  assert.equal((await send("POST", "/app/files", json({ name: "x".repeat(20_000) }, writer))).status, 413);
});
