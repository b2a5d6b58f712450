// Runs a bundle in Vercel's edge runtime: `edge-host.mjs BUNDLE MODULE SETTINGS` prints its answer.
import { readFileSync } from 'node:fs';

import { EdgeVM } from '@edge-runtime/vm';

const [bundle, module, settings] = process.argv.slice(2);
const compiled = new WebAssembly.Module(readFileSync(module));
const vm = new EdgeVM({
  codeGeneration: { strings: false, wasm: false },
  extend: (context) => Object.assign(context, { wasm_keyhaven: compiled }),
});
vm.evaluate(readFileSync(bundle, 'utf8'));
const answer = await vm.dispatchFetch('https://edge.example/', { method: 'POST', body: settings });
console.log(await answer.text());
process.exit();
