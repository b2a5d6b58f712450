// Before the TypeScript is compiled: writes what it knows of the Wasm module, beside it.
import { readFileSync, writeFileSync } from 'node:fs';
import { integrityOf } from './integrity.mjs';

const folder = new URL('../wasm/', import.meta.url);
const module = readFileSync(new URL('keyhaven_sdk_bg.wasm', folder));

write('integrity', 'WASM_INTEGRITY', 'The SHA-384 of the Wasm module, as in Subresource Integrity.', integrityOf(module));
write('inline', 'WASM_BASE64', 'The Wasm module, in base64.', module.toString('base64'));

function write(file, name, about, text) {
  writeFileSync(new URL(`${file}.js`, folder), `/** ${about} */\nexport const ${name} = '${text}';\n`);
  writeFileSync(new URL(`${file}.d.ts`, folder), `/** ${about} */\nexport declare const ${name}: string;\n`);
}
