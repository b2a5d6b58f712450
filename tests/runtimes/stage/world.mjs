// A Keyhaven of the tests' own, the backend of an application, and the package as npm would install it.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { Keyhaven } from '../../../examples/web-app/demo/keyhaven.mjs';
import { Front } from './front.mjs';
import { install } from './package.mjs';

const POLICY = `
  permit(principal == Keyhaven::Principal::"reader",
         action in [Keyhaven::Action::"DeliverDataKey", Keyhaven::Action::"UnsealDataKey"], resource);`;

export class World {
  /** The folder of this world; goes with it. */
  folder;
  /** Where `@keyhaven/sdk` was installed: programs that are to find it lie below. */
  app;
  /** The running server: its address, authority and issuer are in `keyhaven.env`. */
  keyhaven;
  /** What serves pages and answers as the application's backend. */
  front;

  /** Starts all. */
  static async open() {
    const world = new World();
    world.folder = await mkdtemp(path.join(tmpdir(), 'keyhaven-runtimes-'));
    try {
      await world.#start();
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  async #start() {
    const within = (name) => path.join(this.folder, name);
    const bin = process.env.KEYHAVEN_BIN;
    if (!bin) throw new Error('run `cargo xtask test`: it sets KEYHAVEN_BIN');
    const programs = fileURLToPath(new URL('../programs', import.meta.url));
    [this.app, this.keyhaven] = await Promise.all([
      install(within('app'), { programs }),
      Keyhaven.start({ bin, dataDir: within('data'), log: within('keyhaven.log') }),
    ]);
    await this.#post('/keys', { alias: 'letters', spec: 'aes-256-gcm', distribution: 'data-keys', max_offline_grace_s: 600 });
    await this.#post('/principals', { name: 'reader' });
    await this.#post('/policies/readers', { text: POLICY }, 'PUT');
    const { KEYHAVEN_ADDR: keyhaven, KEYHAVEN_CACERT: ca } = this.keyhaven.env;
    const folders = { sdk: path.join(this.app, 'node_modules/@keyhaven/sdk'), programs };
    this.front = await Front.start({ keyhaven, ca: await readFile(ca), folders, tokens: this.#tokens() });
  }

  /** What a program outside of a browser needs: it speaks with Keyhaven itself. */
  get direct() {
    return { url: this.keyhaven.env.KEYHAVEN_ADDR, backend: this.front.address, issuer: this.keyhaven.env.KEYHAVEN_ISSUER };
  }

  /** What a page needs: it knows no authority of ours, and goes by the backend's relay. */
  get relayed() {
    return { ...this.direct, url: `${this.front.address}/keyhaven` };
  }

  /** Ends all. */
  async close() {
    await this.front?.stop();
    await this.keyhaven?.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** What the application's backend asks Keyhaven for. */
  #tokens() {
    const subject = 'reader';
    return {
      ticket: async ({ operation, key, context, device }) => {
        const want = { subject, operations: [operation], context, context_exact: true, device };
        return (await this.#post(`/keys/${key}/tickets`, want)).ticket;
      },
      enrolment: async () => (await this.#post('/enrolment-tokens', { subject })).token,
    };
  }

  async #post(where, body, method = 'POST') {
    const { status, document } = await this.keyhaven.call(method, `/api/v1${where}`, { body });
    if (status >= 300) throw new Error(`${where} was answered with ${status}: ${JSON.stringify(document)}`);
    return document;
  }
}
