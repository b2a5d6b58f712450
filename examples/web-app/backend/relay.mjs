// Passes the page's requests on to Keyhaven, so that Keyhaven need not be reachable from outside.
// Everything here is sealed to the device or signed by it: a relay can read no key and change nothing.
import http from "node:http";
import https from "node:https";
import { pipeline } from "node:stream";

import { Refusal } from "./http.mjs";

// The user's name is there only to give each user's device an address of its own.
const PREFIX = /^\/keyhaven\/[a-z-]{1,40}/;
const PATHS = {
  POST: /^\/api\/v1\/(devices|keys\/[A-Za-z0-9:._%-]{1,160}\/(deliver|unseal)-data-key)$/,
  GET: /^\/api\/v1\/lease-events(\?[A-Za-z0-9=&_-]{0,200})?$/,
};
const REQUEST_HEADERS = ["accept", "authorization", "content-digest", "content-length", "content-type", "last-event-id", "signature", "signature-input"];
const ANSWER_HEADERS = ["content-type", "retry-after", "x-request-id"];
// A page has tickets and enrolment tokens, never an API token.
const CREDENTIALS = /^Keyhaven-(Ticket|Enrolment) /;

/** Passes one request on, and streams the answer back. */
export async function relay(request, response, config) {
  const path = request.url.replace(PREFIX, "");
  if (!PATHS[request.method]?.test(path)) throw new Refusal(404, "not_found", "The relay does not pass this on.");
  const headers = pick(request.headers, REQUEST_HEADERS);
  if (headers.authorization !== undefined && !CREDENTIALS.test(headers.authorization)) {
    throw new Refusal(403, "credential_not_relayed", "The relay passes tickets and enrolment tokens only.");
  }
  const { request: open } = config.keyhaven.protocol === "https:" ? https : http;
  await new Promise((resolve, reject) => {
    const onward = open(new URL(path, config.keyhaven), { method: request.method, headers });
    onward.on("response", (answer) => {
      response.writeHead(answer.statusCode, pick(answer.headers, ANSWER_HEADERS));
      response.flushHeaders();
      // Either side may hang up, as it does when the page closes: that ends the other side and is no error.
      pipeline(answer, response, () => resolve());
    });
    onward.on("error", () => reject(new Refusal(503, "unavailable", "Keyhaven cannot be reached.")));
    response.on("close", () => onward.destroy());
    pipeline(request, onward, () => {});
  });
}

function pick(headers, names) {
  return Object.fromEntries(names.filter((name) => headers[name] !== undefined).map((name) => [name, headers[name]]));
}
