// One plain HTTP address for all runtimes: passes API requests on to Keyhaven, mints tickets as a backend would,
// and serves the benchmark's page. Loopback is a secure context, and no runtime must be taught a certificate.
import { createReadStream } from "node:fs";
import { readFile, realpath, stat } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import path from "node:path";
import { pipeline } from "node:stream";

const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };
/** What belongs to the connection or the page; a backend asks in its own name. */
const NOT_PASSED_ON = new Set(["host", "connection", "origin", "referer"]);
/** Isolated, for the finest clock that a page can have; never cached, so that each start is a cold one. */
const HEADERS = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cache-control": "no-store",
};

/** Starts it. `folders` maps the first part of a path to the folder that is served there. */
export async function startFront(server, { folders, page }) {
  const roots = Object.fromEntries(await Promise.all(Object.entries(folders).map(async ([name, folder]) => [name, await realpath(folder)])));
  const upstream = { ca: await readFile(server.caFile), agent: new https.Agent({ keepAlive: true }) };
  const front = http.createServer((request, response) => {
    answer(request, response).catch((error) => {
      if (!response.headersSent) response.writeHead(502, HEADERS);
      response.end(String(error));
    });
  });
  // A client that computes for seconds does not see a connection closed meanwhile, and would ask on it.
  front.keepAliveTimeout = 0;

  async function answer(request, response) {
    const { pathname } = new URL(request.url, "http://front");
    if (pathname.startsWith("/api/v1/")) return relay(request, response);
    if (pathname === "/") return send(response, "text/html", page);
    if (pathname === "/ticket") return send(response, "application/json", JSON.stringify(await server.ticket(JSON.parse(await text(request)))));
    if (pathname === "/enrolment") return send(response, "application/json", JSON.stringify(await server.enrolment()));
    // A clock for runtimes that stop theirs while they compute.
    if (pathname === "/now") return send(response, "text/plain", String(performance.now()));
    return file(pathname, response);
  }

  function relay(request, response) {
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !NOT_PASSED_ON.has(name)));
    return new Promise((resolve, reject) => {
      const onward = https.request(new URL(request.url, server.address), { method: request.method, headers, ...upstream });
      onward.on("response", (answer) => {
        response.writeHead(answer.statusCode, { ...answer.headers, ...HEADERS });
        response.flushHeaders();
        pipeline(answer, response, () => resolve());
      });
      onward.on("error", reject);
      response.on("close", () => onward.destroy());
      pipeline(request, onward, () => {});
    });
  }

  async function file(pathname, response) {
    const [, name, ...rest] = pathname.split("/");
    const found = roots[name] && path.join(roots[name], ...rest);
    if (!found?.startsWith(`${roots[name]}/`) || !(await stat(found).catch(() => undefined))?.isFile()) {
      response.writeHead(404, HEADERS);
      return response.end();
    }
    response.writeHead(200, { ...HEADERS, "content-type": TYPES[path.extname(found)] ?? "application/octet-stream" });
    return void pipeline(createReadStream(found), response, () => {});
  }

  await new Promise((resolve, reject) => front.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${front.address().port}`,
    stop: () => {
      front.closeAllConnections();
      upstream.agent.destroy();
      return new Promise((resolve) => front.close(() => resolve()));
    },
  };
}

function send(response, type, body) {
  response.writeHead(200, { ...HEADERS, "content-type": type });
  response.end(body);
}

async function text(request) {
  return Buffer.concat(await request.toArray()).toString("utf8");
}
