// Programs of other runtimes: started, listened to, ended.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where npm put the runtimes' programs. */
export const bin = (name) => path.join(fileURLToPath(new URL('../node_modules/.bin', import.meta.url)), name);

/** Runs a program to its end; gives what it printed. Fails with its error output. */
export async function output(program, args, { cwd, env = {}, limit = 60_000 }) {
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: limit, killSignal: 'SIGKILL' });
  const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => stream.toArray());
  const [code, signal] = await once(child, 'close');
  const [printed, complained] = (await Promise.all([stdout, stderr])).map((parts) => Buffer.concat(parts).toString());
  if (code !== 0) throw new Error(`${path.basename(program)} ended with ${code ?? signal}\n${printed}\n${complained}`);
  return printed;
}

/** Starts workerd on a configuration in `folder`; gives the address of its socket `http`, and how to end it. */
export async function startWorkerd(folder, env = {}) {
  const stdio = ['ignore', 'inherit', 'inherit', 'pipe'];
  const args = ['serve', 'config.capnp', '--control-fd=3', '--socket-addr=http=127.0.0.1:0'];
  const child = spawn(bin('workerd'), args, { cwd: folder, env: { ...process.env, ...env }, stdio });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  };
  const listening = (async () => {
    for await (const line of createInterface({ input: child.stdio[3] })) {
      const said = JSON.parse(line);
      if (said.event === 'listen') return said.port;
    }
    throw new Error('workerd ended before it listened');
  })();
  try {
    return { address: `http://127.0.0.1:${await listening}`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
