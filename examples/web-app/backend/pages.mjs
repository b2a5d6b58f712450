// Serves the page's own files, and the SDK's from the npm package.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";

import { Refusal, setSecurityHeaders } from "./http.mjs";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webm": "video/webm",
};
// Names without dots but the extension's: no path leads out of the folder.
const OWN = /^\/([a-z0-9-]+\.(html|css|mjs|svg|webm))$/;
const SDK = /^\/sdk\/((dist|page|wasm)\/([A-Za-z0-9_-]+\/)*[A-Za-z0-9_-]+\.(js|wasm))$/;

/** Answers with a file, if it is one that pages need. */
export async function servePage(pathname, response, config) {
  const own = OWN.exec(pathname === "/" ? "/index.html" : pathname);
  const sdk = SDK.exec(pathname);
  const file = own ? path.join(config.public, own[1]) : sdk && path.join(config.sdk, sdk[1]);
  const bytes = file && (await readFile(file).catch(() => null));
  if (!bytes) throw new Refusal(404, "not_found", "There is no such page.");
  response.setHeader("Content-Type", TYPES[path.extname(file)]);
  response.end(path.extname(file) === ".html" ? await pinned(bytes.toString(), response, config) : bytes);
}

/**
 * The page with an import map that names the SDK and pins each of its files to the hash in its manifest, and with
 * links that ask for the files it needs all at once.
 */
async function pinned(page, response, config) {
  const { files, page: needed } = JSON.parse(await readFile(path.join(config.sdk, "integrity.json"), "utf8"));
  const scripts = Object.entries(files).filter(([name]) => name.endsWith(".js"));
  const integrity = Object.fromEntries(scripts.map(([name, hash]) => [`/sdk/${name}`, hash]));
  const map = JSON.stringify({ imports: { "@keyhaven/sdk": "/sdk/page/index.js" }, integrity });
  setSecurityHeaders(response, [`'sha256-${createHash("sha256").update(map).digest("base64")}'`]);
  const links = needed.map((name) => `<link rel="modulepreload" href="/sdk/${name}" integrity="${files[name]}">`);
  return page.replace("<!-- SDK -->", [`<script type="importmap">${map}</script>`, ...links].join("\n  "));
}
