// `keyhaven dev` with one key and one user, for as long as a benchmark runs.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { Keyhaven } from "../../../examples/web-app/demo/keyhaven.mjs";

const USER = "bench";
const KEY = "bench";
const POLICY = `permit(
  principal == Keyhaven::Principal::"${USER}",
  action in [Keyhaven::Action::"DeliverDataKey", Keyhaven::Action::"UnsealDataKey"],
  resource
);`;

/** Starts a server; `stop` ends it and removes its folder. */
export async function startServer(bin) {
  const folder = await mkdtemp(path.join(tmpdir(), "keyhaven-bench-sdk-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  let keyhaven;
  try {
    keyhaven = await Keyhaven.start({ bin, dataDir: path.join(folder, "data"), log: path.join(folder, "keyhaven.log") });
    const api = async (method, document, body) => {
      const answer = await keyhaven.call(method, `/api/v1${document}`, { body });
      if (answer.status >= 300) throw new Error(`${method} ${document}: ${answer.status} ${JSON.stringify(answer.document)}`);
      return answer.document;
    };
    await api("POST", "/keys", { alias: KEY, spec: "aes-256-gcm", distribution: "data-keys" });
    await api("POST", "/principals", { name: USER });
    await api("PUT", "/policies/bench", { text: POLICY });
    return {
      address: keyhaven.env.KEYHAVEN_ADDR,
      caFile: keyhaven.env.KEYHAVEN_CACERT,
      issuer: keyhaven.env.KEYHAVEN_ISSUER,
      /** What an application's backend does when its page asks for a ticket. */
      ticket: ({ operation, key, context, device }) =>
        api("POST", `/keys/${key}/tickets`, { subject: USER, operations: [operation], context, context_exact: true, device }),
      /** The same for a device that is new. */
      enrolment: () => api("POST", "/enrolment-tokens", { subject: USER }),
      stop: async () => {
        await keyhaven.stop();
        await remove();
      },
    };
  } catch (error) {
    await keyhaven?.stop();
    await remove();
    throw error;
  }
}
