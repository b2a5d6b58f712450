// Step 8: no key and no plaintext in what travelled, what was stored, or what was logged.
import { readdir } from "node:fs/promises";
import path from "node:path";

import { Search } from "../canary.mjs";
import { must } from "../table.mjs";

export async function captureHoldsNoKey(story) {
  const { stage, secrets, large, picture, newPicture } = story;
  for (const { name, marker } of [large, picture, newPicture]) secrets.set(`plaintext of ${name}`, marker);
  const recordings = await stage.end();
  // The search and the recording are worth nothing unless they find what is there.
  await mustFind(large.stored.subarray(0, 64), recordings);
  const files = [...recordings, ...(await stored(stage)), ...(await logs(stage))];
  const size = await mustNotFind(secrets, files);
  return `${(size / 1e6).toFixed(0)} MB of traffic, database, audit and logs searched for ${secrets.size} keys and plaintexts in 18 forms each: none is there`;
}

// An API token travels between a backend and Keyhaven, by design; but it must not be kept anywhere.
export async function tokensAreNotKept({ stage, token, adminToken }) {
  const tokens = new Map([["the backend's API token", Buffer.from(token)], ["the administrator's API token", Buffer.from(adminToken)]]);
  const { KEYHAVEN_TOKEN } = stage.keyhaven.env;
  must(KEYHAVEN_TOKEN === adminToken, "the administrator's token changed");
  const files = [...(await stored(stage, (name) => /^(store\.db|audit)/.test(name))), ...(await logs(stage))];
  const size = await mustNotFind(tokens, files);
  return `${(size / 1e6).toFixed(1)} MB of database, audit and logs hold neither API token`;
}

async function mustFind(bytes, files) {
  const control = new Search([["control", bytes]]);
  for (const file of files) if ((await control.inFile(file)).found.length > 0) return;
  must(false, "the recordings do not hold the ciphertext that was uploaded");
}

async function mustNotFind(secrets, files) {
  const search = new Search(secrets);
  let total = 0;
  for (const file of files) {
    const { found, size } = await search.inFile(file);
    must(found.length === 0, `found ${found.join(", ")}`);
    total += size;
  }
  return total;
}

async function stored({ dataDir, appData }, wanted = () => true) {
  const inData = (await filesIn(dataDir)).filter((file) => wanted(path.relative(dataDir, file)));
  return [...inData, ...(await filesIn(appData))];
}

async function logs({ folder }) {
  return (await readdir(folder)).filter((name) => name.endsWith(".log")).map((name) => path.join(folder, name));
}

async function filesIn(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}
