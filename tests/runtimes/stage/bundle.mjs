// Bundles a program as the tools of an edge platform do: with its conditions, and Wasm files as modules of their own.
import { copyFile, mkdir } from 'node:fs/promises';
import path from 'node:path';

import { build } from 'esbuild';

/**
 * Bundles `entry` into `folder`. `wasm` says how an import of a Wasm file is written in the bundle: it gets
 * the file's name and gives what esbuild's `onResolve` or `onLoad` does. Gives the Wasm files' names.
 */
export async function bundle({ entry, folder, conditions, format, wasm }) {
  await mkdir(folder, { recursive: true });
  const files = new Map();
  const plugin = {
    name: 'wasm',
    setup(builder) {
      builder.onResolve({ filter: /\.wasm(\?module)?$/ }, ({ path: wanted, resolveDir }) => {
        const file = path.join(resolveDir, wanted.replace('?module', ''));
        files.set(path.basename(file), file);
        return wasm.resolve(path.basename(file), wanted);
      });
      if (wasm.load) builder.onLoad({ filter: /.*/, namespace: 'wasm' }, ({ path: name }) => wasm.load(name));
    },
  };
  const outfile = path.join(folder, 'worker.js');
  const options = { bundle: true, format, conditions, outfile, target: 'es2022', logLevel: 'error', plugins: [plugin] };
  await build({ ...options, entryPoints: [entry], mainFields: ['module', 'main'] });
  for (const [name, file] of files) await copyFile(file, path.join(folder, name));
  return [...files.keys()];
}
