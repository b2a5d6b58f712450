// After the TypeScript is compiled: lists every file that a page may load, each with its hash.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { integrityOf } from './integrity.mjs';

const root = new URL('../', import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
const names = ['dist', 'wasm'].flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true })
    .filter((name) => /\.(js|wasm)$/.test(name))
    .map((name) => `${folder}/${name}`),
);
const files = Object.fromEntries(names.sort().map((name) => [name, integrityOf(readFileSync(new URL(name, root)))]));
writeFileSync(new URL('integrity.json', root), `${JSON.stringify({ version, files }, null, 2)}\n`);
