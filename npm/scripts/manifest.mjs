// After the TypeScript is compiled: lists every file that a page may load, each with its hash; and those that a page
// without a bundler loads, so that it can ask for them all at once.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { integrityOf } from './integrity.mjs';

const root = new URL('../', import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
const names = ['dist', 'page', 'wasm'].flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true })
    .filter((name) => /\.(js|wasm)$/.test(name))
    .map((name) => `${folder}/${name}`),
);
const files = Object.fromEntries(names.sort().map((name) => [name, integrityOf(readFileSync(new URL(name, root)))]));
const page = [...reachable('page/index.js')].sort();
writeFileSync(new URL('integrity.json', root), `${JSON.stringify({ version, files, page }, null, 2)}\n`);

/** The modules that one imports, directly or by others. */
function reachable(name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  const source = readFileSync(new URL(name, root), 'utf8');
  for (const [, from] of source.matchAll(/\b(?:import|from)\s*"(\.[^"]+)"/g)) {
    reachable(path.posix.join(path.posix.dirname(name), from), seen);
  }
  return seen;
}
