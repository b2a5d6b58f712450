// Before the TypeScript is compiled: writes what it knows of the Wasm module, beside it, and makes that module's
// JavaScript small, which is generated, and described in its types.
import { readFileSync, writeFileSync } from 'node:fs';
import { transformSync } from 'esbuild';
import { integrityOf } from './integrity.mjs';

const folder = new URL('../wasm/', import.meta.url);
const module = readFileSync(new URL('keyhaven_sdk_bg.wasm', folder));

write('integrity', 'WASM_INTEGRITY', 'The SHA-384 of the Wasm module, as in Subresource Integrity.', integrityOf(module));
write('inline', 'WASM_BASE64', 'The Wasm module, in base64.', module.toString('base64'));

const bindings = new URL('keyhaven_sdk.js', folder);
// The first line tells Deno where the types are.
const banner = '/* @ts-self-types="./keyhaven_sdk.d.ts" */';
const { code } = transformSync(readFileSync(bindings, 'utf8'), { minify: true, format: 'esm', target: 'es2022', banner });
writeFileSync(bindings, code);

function write(file, name, about, text) {
  writeFileSync(new URL(`${file}.js`, folder), `/** ${about} */\nexport const ${name} = '${text}';\n`);
  writeFileSync(new URL(`${file}.d.ts`, folder), `/** ${about} */\nexport declare const ${name}: string;\n`);
}
