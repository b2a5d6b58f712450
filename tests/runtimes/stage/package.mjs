// Installs the package as `npm install` would: from the archive that `npm pack` makes.
import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Makes an application's folder with the package in its `node_modules`, and copies of other folders. */
export async function install(folder, copies = {}) {
  const source = process.env.KEYHAVEN_NPM_PACKAGE;
  if (!source) throw new Error('run `cargo xtask test`: it sets KEYHAVEN_NPM_PACKAGE');
  const home = path.join(folder, 'node_modules/@keyhaven/sdk');
  await mkdir(home, { recursive: true });
  await run('npm', ['pack', source, '--pack-destination', folder, '--silent', '--ignore-scripts']);
  const [archive] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
  await run('tar', ['-xzf', path.join(folder, archive), '-C', home, '--strip-components', '1']);
  await writeFile(path.join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  for (const [name, from] of Object.entries(copies)) await cp(from, path.join(folder, name), { recursive: true });
  return folder;
}
