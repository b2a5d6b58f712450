// The example's backend: pages, a demo login, tickets, a store of encrypted files, and a relay to Keyhaven.
// It needs Node 20 and nothing else. `README.md` tells how to start it.
import { createServer } from "node:http";

import { readConfig } from "./backend/config.mjs";
import { Files } from "./backend/files.mjs";
import { Refusal, refuseForeignOrigin, sendProblem, setSecurityHeaders } from "./backend/http.mjs";
import { Keyhaven } from "./backend/keyhaven.mjs";
import { servePage } from "./backend/pages.mjs";
import { relay } from "./backend/relay.mjs";
import { Sessions } from "./backend/sessions.mjs";

const config = readConfig(process.env);
const sessions = new Sessions(config);
const keyhaven = new Keyhaven(config);
const files = await Files.open(config);

/** Every endpoint of the app: method, path, and who answers. */
const ROUTES = [
  ["GET", /^\/app\/session$/, (call) => sessions.show(call)],
  ["POST", /^\/app\/session$/, (call) => sessions.start(call)],
  ["POST", /^\/app\/ticket$/, (call) => keyhaven.mintTicket(call, sessions.user(call))],
  ["POST", /^\/app\/enrolment$/, (call) => keyhaven.mintEnrolment(call, sessions.user(call))],
  ["GET", /^\/app\/files$/, (call) => files.list(call, sessions.user(call))],
  ["POST", /^\/app\/files$/, (call) => files.create(call, sessions.user(call))],
  ["GET", /^\/app\/files\/([0-9a-f-]{36})$/, (call) => files.read(call, sessions.user(call))],
  ["PUT", /^\/app\/files\/([0-9a-f-]{36})$/, (call) => files.append(call, sessions.user(call))],
  ["POST", /^\/app\/files\/([0-9a-f-]{36})\/complete$/, (call) => files.complete(call, sessions.user(call))],
];

async function answer(request, response) {
  const url = new URL(request.url, "http://app.invalid");
  setSecurityHeaders(response);
  refuseForeignOrigin(request, config);
  if (url.pathname.startsWith("/keyhaven/")) return relay(request, response, config);
  for (const [method, pattern, handler] of ROUTES) {
    const match = pattern.exec(url.pathname);
    if (match && method === request.method) {
      return handler({ request, response, url, id: match[1] });
    }
  }
  if (request.method !== "GET") throw new Refusal(404, "not_found", "There is nothing at this address.");
  return servePage(url.pathname, response, config);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => sendProblem(response, error));
});
server.listen(config.port, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    server.close();
    server.closeAllConnections();
  });
}
