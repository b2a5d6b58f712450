// Where the story plays: Keyhaven, the example's backend, and recorders on every line between them.
import { cp, mkdir } from "node:fs/promises";
import path from "node:path";

import { Backend } from "../../../examples/web-app/demo/backend.mjs";
import { Keyhaven } from "../../../examples/web-app/demo/keyhaven.mjs";
import { Person } from "./person.mjs";
import { Recorder } from "./recorder.mjs";

export class Stage {
  #apps = [];
  #people = [];
  #recorders = [];

  /** `folder` is new and empty; `shots` is where pictures go. */
  constructor({ folder, shots, bin }) {
    this.folder = folder;
    this.shots = shots;
    this.bin = bin;
    this.dataDir = path.join(folder, "data");
    this.log = path.join(folder, "keyhaven.log");
    this.appData = path.join(folder, "app");
    this.capture = path.join(folder, "capture");
  }

  /** Starts Keyhaven, on the story's data folder or on another. */
  async startKeyhaven(dataDir = this.dataDir) {
    this.keyhaven = await Keyhaven.start({ bin: this.bin, dataDir, log: this.log });
    await Promise.all(this.#apps.map(({ back }) => back.aim(this.keyhaven.env.KEYHAVEN_ADDR, this.keyhaven.env.KEYHAVEN_CACERT)));
  }

  /** Ends Keyhaven and every connection to it. */
  async stopKeyhaven() {
    await this.keyhaven?.stop();
  }

  /** Ends Keyhaven, lets `between` work on its folder, and starts it again. */
  async restartKeyhaven(between = async () => {}) {
    await this.stopKeyhaven();
    await between();
    await this.startKeyhaven();
  }

  /** Starts the example's backend between two recorders. `front` is what browsers see. */
  async startApp({ name, token, leaseSeconds = 300 }) {
    const { KEYHAVEN_ADDR: target, KEYHAVEN_CACERT: caFile, KEYHAVEN_ISSUER } = this.keyhaven.env;
    const back = await this.#record(`${name}-keyhaven`, { target, caFile });
    const backend = await Backend.start({
      log: path.join(this.folder, `${name}.log`),
      settings: {
        KEYHAVEN_ADDR: back.address,
        KEYHAVEN_TOKEN: token,
        ...(KEYHAVEN_ISSUER && { KEYHAVEN_ISSUER }),
        APP_DATA: this.appData,
        APP_LEASE_SECONDS: String(leaseSeconds),
        PORT: "0",
      },
    });
    const front = await this.#record(`${name}-browser`, { target: backend.address });
    const app = { backend, front, back, address: front.address };
    this.#apps.push(app);
    return app;
  }

  /** A person comes, with a browser profile of their own. */
  async invite(user, { address, colorScheme }) {
    const person = await Person.arrive({ user, address, colorScheme, folder: this.folder, shots: this.shots });
    this.#people.push(person);
    return person;
  }

  /** A copy of the data folder. */
  async copyData(name) {
    const copy = path.join(this.folder, name);
    await mkdir(copy);
    await cp(this.dataDir, copy, { recursive: true, preserveTimestamps: true });
    return copy;
  }

  /** Ends everything; gives the files of the recordings. */
  async end() {
    await Promise.allSettled(this.#people.map((person) => person.leave()));
    await Promise.allSettled(this.#apps.map(({ backend }) => backend.stop()));
    await this.stopKeyhaven();
    return (await Promise.all(this.#recorders.map((recorder) => recorder.stop()))).flat();
  }

  async #record(name, line) {
    const recorder = await Recorder.start({ folder: path.join(this.capture, name), ...line });
    this.#recorders.push(recorder);
    return recorder;
  }
}
