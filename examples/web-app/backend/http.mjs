// Small pieces of HTTP that all endpoints share.

/** A request that is refused: an HTTP status, a code to branch on, and what to do about it. */
export class Refusal extends Error {
  constructor(status, code, detail, requestId = "") {
    super(detail);
    Object.assign(this, { status, code, requestId });
  }
}

// Scripts come from files of this origin only, and from `scripts`: the hashes of what a page has inside.
// `wasm-unsafe-eval` lets WebAssembly compile; it does not allow `eval`.
const contentSecurityPolicy = (scripts) => [
  "default-src 'none'",
  ["script-src 'self' 'wasm-unsafe-eval'", ...scripts].join(" "),
  "style-src 'self'",
  "img-src 'self' blob:",
  "media-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types media-worker",
].join("; ");

/** Headers that every answer carries. */
export function setSecurityHeaders(response, scripts = []) {
  response.setHeader("Content-Security-Policy", contentSecurityPolicy(scripts));
  response.setHeader("X-Content-Type-Options", "nosniff");
  response.setHeader("Referrer-Policy", "no-referrer");
  response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
  response.setHeader("Cross-Origin-Resource-Policy", "same-origin");
  response.setHeader("Cache-Control", "no-store");
}

/** The origin of the pages that this request's host serves. */
export function ownOrigin(request, config) {
  return config.origin ?? `http://${request.headers.host}`;
}

/**
 * Refuses what another site's page could have sent (CSRF), and hosts that are not ours (DNS rebinding).
 * Browsers always send `Origin` with a request that changes something.
 */
export function refuseForeignOrigin(request, config) {
  const host = request.headers.host ?? "";
  const known = config.origin ? host === new URL(config.origin).host : /^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host);
  if (!known) throw new Refusal(421, "unknown_host", "This server does not answer for that host name.");
  const changes = request.method !== "GET" && request.method !== "HEAD";
  const origin = request.headers.origin;
  if ((changes || origin !== undefined) && origin !== ownOrigin(request, config)) {
    throw new Refusal(403, "foreign_origin", "Only this app's own pages may ask this.");
  }
}

/** Reads a small JSON object. */
export async function readJson(request, limit = 16 * 1024) {
  if (!/^application\/json\b/.test(request.headers["content-type"] ?? "")) {
    throw new Refusal(415, "unsupported_media_type", "Send `application/json`.");
  }
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > limit) throw new Refusal(413, "body_too_large", `Send at most ${limit} bytes.`);
    parts.push(part);
  }
  try {
    const value = JSON.parse(Buffer.concat(parts).toString("utf8"));
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return value;
  } catch {
    // Refused below.
  }
  throw new Refusal(400, "invalid_request", "Send a JSON object.");
}

/** Answers with JSON. */
export function sendJson(response, status, value) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(value));
}

/** Answers with a problem document (RFC 9457); an error of ours is logged and not described. */
export function sendProblem(response, error) {
  const known = error instanceof Refusal;
  if (!known) console.error(error);
  if (response.headersSent) return response.destroy();
  const { status, code, message, requestId } = known
    ? error
    : { status: 500, code: "internal", message: "The app failed; its log says why.", requestId: "" };
  // What was not read of the request would be taken for the next one.
  response.setHeader("Connection", "close");
  response.writeHead(status, { "Content-Type": "application/problem+json" });
  response.end(JSON.stringify({ title: code, status, code, detail: message, request_id: requestId }));
}
