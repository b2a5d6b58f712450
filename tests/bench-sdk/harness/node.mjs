// Node: each suite in a new process, so that none inherits another's heap or compiled code.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

const CHILD = fileURLToPath(new URL("./node-child.mjs", import.meta.url));

/** Gives the function that runs a suite, or takes one cold start. */
export function nodeRuntime({ stage, execArgv = [] }) {
  const started = (job, tell) =>
    new Promise((resolve, reject) => {
      const child = fork(CHILD, { execArgv });
      child.on("message", ({ told, done }) => {
        if (told !== undefined) tell(told);
        if (done !== undefined) resolve(done);
      });
      child.on("error", reject);
      child.on("exit", (code) => reject(new Error(`the child process ended with ${code}`)));
      child.send({ ...job, stage: { ...stage, runtime: "node" } });
    });
  return {
    name: "node",
    run: (suite, { quick, tell }) => started({ suite, quick }, tell),
    coldStart: (message, tell) => started({ message: [...message] }, tell),
    close: async () => {},
  };
}
