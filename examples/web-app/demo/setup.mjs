// What an operator does once, with the command line: a keyring, a key, users, and the policy.
// Running it again changes nothing, but for a new API token.
import { fileURLToPath } from "node:url";

const POLICY = fileURLToPath(new URL("../policy.cedar", import.meta.url));

/** Sets all up; gives the backend's API token. */
export async function setUp(keyhaven) {
  const { keyrings } = await keyhaven.json("keyring", "list");
  if (!keyrings.some(({ name }) => name === "app")) await keyhaven.run("keyring", "create", "app");

  const { keys } = await keyhaven.json("key", "list", "--keyring", "app");
  if (!keys.some(({ aliases }) => aliases.includes("photos"))) await makeKey(keyhaven, "photos");

  const { principals } = await keyhaven.json("principal", "list");
  const names = new Set(principals.map(({ name }) => name));
  for (const [name, ...group] of [["writer", "--group", "photo-users"], ["reader", "--group", "photo-users"], ["outsider"], ["web-app"]]) {
    if (!names.has(name)) await keyhaven.run("principal", "create", name, ...group);
  }
  await keyhaven.run("policy", "put", "web-app", POLICY);
  return (await keyhaven.json("principal", "token", "web-app")).token;
}

/** Makes a key whose data keys may be sealed to devices. */
export function makeKey(keyhaven, alias) {
  return keyhaven.run("key", "create", alias, "--keyring", "app", "--spec", "aes-256-gcm", "--distribution", "data-keys");
}
