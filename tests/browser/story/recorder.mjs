// A proxy that keeps every byte that passes. Where the other side speaks TLS, the recorder does so in the
// client's place, so that it sees what is inside.
import { createWriteStream } from "node:fs";
import { readFile, mkdir } from "node:fs/promises";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import tls from "node:tls";

export class Recorder {
  #folder;
  #server;
  #target;
  #ca;
  #sockets = new Set();
  #files = [];
  #connections = 0;
  #cut = false;
  /** The address to use in place of the target's. */
  address;

  /** Starts one; its recordings go to `folder`, a file for each connection and direction. */
  static async start({ folder, target, caFile }) {
    const recorder = new Recorder();
    recorder.#folder = folder;
    await mkdir(folder, { recursive: true });
    await recorder.aim(target, caFile);
    recorder.#server = net.createServer({ noDelay: true }, (client) => recorder.#pass(client));
    recorder.#server.listen(0, "127.0.0.1");
    await once(recorder.#server, "listening");
    recorder.address = `http://127.0.0.1:${recorder.#server.address().port}`;
    return recorder;
  }

  /** Sends new connections elsewhere: a restarted server has another port. */
  async aim(target, caFile) {
    this.#target = new URL(target);
    this.#ca = caFile && (await readFile(caFile));
  }

  /** Ends all connections and lets no new one through, until `mend`. */
  cut() {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend() {
    this.#cut = false;
  }

  /** Ends the recorder once all is on disk. Gives the files. */
  async stop() {
    this.cut();
    this.#server.close();
    await Promise.all(this.#files.map((file) => file.closed || once(file, "close")));
    return this.#files.map((file) => file.path);
  }

  #pass(client) {
    if (this.#cut) return client.destroy();
    const { hostname: host, port, protocol } = this.#target;
    const server = protocol === "https:"
      ? tls.connect({ host, port, ca: this.#ca, ALPNProtocols: ["http/1.1"] })
      : net.connect({ host, port, noDelay: true });
    this.#connections += 1;
    this.#copy(client, server, `${this.#connections}-request`);
    this.#copy(server, client, `${this.#connections}-answer`);
    for (const [one, other] of [[client, server], [server, client]]) {
      this.#sockets.add(one);
      // An error shows as the end of the connection, as it would without a recorder.
      one.on("error", () => {});
      one.on("close", () => {
        this.#sockets.delete(one);
        // Not before what is on its way has been written.
        other.destroySoon();
      });
    }
  }

  #copy(from, to, name) {
    const file = createWriteStream(path.join(this.#folder, `${name}.bin`));
    this.#files.push(file);
    from.on("data", (bytes) => file.write(bytes));
    from.on("close", () => file.end());
    from.pipe(to);
  }
}
