// One suite, or one cold start, in this process.
import { once } from "node:events";

const [job] = await once(process, "message");
const tell = (told) => process.send({ told });
process.send({ done: await (job.suite ? suite(job) : coldStart(job)) }, () => process.exit());

async function suite({ suite, stage, quick }) {
  const { run } = await import(`../suites/${suite}.mjs`);
  return run({ stage, quick, tell });
}

async function coldStart({ stage, message }) {
  const { coldStart } = await import("../suites/cold.mjs");
  const { connection, opening } = await import("../subjects/connection.mjs");
  return coldStart({
    load: () => import("@keyhaven/sdk"),
    clock: () => performance.now(),
    connection: connection(stage),
    message: Uint8Array.from(message),
    options: opening,
  });
}
