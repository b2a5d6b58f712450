// Steps 1 and 2: a server from nothing, and what an operator sets up.
import { access, writeFile } from "node:fs/promises";
import path from "node:path";

import { makeKey, setUp } from "../../../../examples/web-app/demo/setup.mjs";
import { must, mustEqual } from "../table.mjs";

const BAD_POLICY = `// The fault is in the third line.
permit (principal,
  action == Keyhaven::Action::"OpenEverything",
  resource);
`;

export async function startsFromNothing({ stage }) {
  await stage.startKeyhaven();
  const { KEYHAVEN_ADDR, KEYHAVEN_CACERT, KEYHAVEN_TOKEN } = stage.keyhaven.env;
  must(KEYHAVEN_ADDR?.startsWith("https://") && KEYHAVEN_TOKEN, "`keyhaven env` prints no address or token");
  await access(KEYHAVEN_CACERT);
  const { status } = await stage.keyhaven.call("GET", "/healthz", { token: "" });
  mustEqual(status, 200, "/healthz");
  return `ready at ${KEYHAVEN_ADDR}; \`keyhaven env\` gives address, CA and token`;
}

export async function operatorSetsUp(story) {
  const { keyhaven } = story.stage;
  story.token = await setUp(keyhaven);
  await makeKey(keyhaven, "maps");
  story.key = await keyhaven.json("key", "describe", "app:photos");
  mustEqual(story.key.state, "enabled", "state of the key");
  return `keyring app, keys photos and maps, users writer, reader and outsider, and a policy; key ${story.key.id}`;
}

export async function badPolicyIsRefused({ stage }) {
  const file = path.join(stage.folder, "bad.cedar");
  await writeFile(file, BAD_POLICY);
  const error = await stage.keyhaven.run("policy", "put", "bad", file).then(() => null, (refusal) => refusal);
  must(error, "a policy with an unknown action was accepted");
  must(/OpenEverything/.test(error.stderr) && /(line |:)3\b/.test(error.stderr), `the place of the fault is not named: ${error.stderr}`);
  const { policies } = await stage.keyhaven.json("policy", "list");
  must(!policies.some(({ name }) => name === "bad"), "the refused policy is in force");
  return error.stderr.trim().split("\n").find((line) => line.includes("3"));
}

export async function restartKeepsKeys({ stage, key }) {
  await stage.restartKeyhaven();
  const again = await stage.keyhaven.json("key", "describe", "app:photos");
  mustEqual(again.id, key.id, "the key's id after a restart");
  return `the same key ${again.id} is served again`;
}
