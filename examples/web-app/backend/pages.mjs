// Serves the page's own files, and the SDK's from the npm package.
import { readFile } from "node:fs/promises";
import path from "node:path";

import { Refusal } from "./http.mjs";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};
// Names without dots but the extension's: no path leads out of the folder.
const OWN = /^\/([a-z0-9-]+\.(html|css|mjs|svg))$/;
const SDK = /^\/sdk\/((dist|wasm)\/([A-Za-z0-9_-]+\/)*[A-Za-z0-9_-]+\.(js|wasm))$/;

/** Answers with a file, if it is one that pages need. */
export async function servePage(pathname, response, config) {
  const own = OWN.exec(pathname === "/" ? "/index.html" : pathname);
  const sdk = SDK.exec(pathname);
  const file = own ? path.join(config.public, own[1]) : sdk && path.join(config.sdk, sdk[1]);
  const bytes = file && (await readFile(file).catch(() => null));
  if (!bytes) throw new Refusal(404, "not_found", "There is no such page.");
  response.writeHead(200, { "Content-Type": TYPES[path.extname(file)] });
  response.end(bytes);
}
