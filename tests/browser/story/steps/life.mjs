// Step 6: the key's life, to its end.
import { cp, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { makePicture } from "../samples.mjs";
import { must, mustEqual } from "../table.mjs";
import { seal } from "./files.mjs";

const KEY = "app:photos";
const AT_ONCE_MS = 2_000;
const SHORT_LEASE_S = 5;

/** Asks for what only the test may know, so that it can search for it: each file's data key in plaintext. */
export async function testLearnsDataKeys(story) {
  const { stage, token, secrets } = story;
  for (const { name, header } of [story.large, story.picture]) {
    const body = { ciphertext: header.dataKeys[0].encrypted.toString("base64"), context: header.context };
    const { status, document } = await stage.keyhaven.call("POST", `/api/v1/keys/${KEY}/decrypt`, { body });
    mustEqual(status, 200, `decrypting the data key of ${name}`);
    secrets.set(`data key of ${name}`, Buffer.from(document.plaintext, "base64"));
    const asBackend = await stage.keyhaven.call("POST", `/api/v1/keys/${KEY}/decrypt`, { token, body });
    mustEqual(asBackend.document.code, "access_denied", "the backend's own try");
  }
  const generated = await stage.keyhaven.call("POST", `/api/v1/keys/${KEY}/generate-data-key`, { body: {} });
  mustEqual(generated.status, 200, "status of generating a data key");
  secrets.set("data key of the operator", Buffer.from(generated.document.plaintext, "base64"));
  return "as administrator, over its own TLS; the app's backend is refused the same";
}

export async function rotates(story) {
  const { stage, reader, picture } = story;
  await stage.keyhaven.run("key", "rotate", KEY);
  await reader.reload();
  mustEqual(await reader.open(picture.id), picture.sha256, "SHA-256 of the old picture");
  const old = await reader.versionOf(picture.id);
  story.newPicture = await makePicture(stage.folder, "evening.png");
  await story.writer.reload();
  await seal(story, story.newPicture);
  const latest = await story.writer.versionOf(story.newPicture.id);
  mustEqual(`${old} ${latest}`, "key v1 key v2", "versions of the old and the new file");
  await story.writer.shot("5-rotated");
  return "the old file still opens and names version 1; a new file names version 2";
}

export async function disableEndsLeases(story) {
  const { stage, reader, picture } = story;
  mustEqual(await reader.open(picture.id), picture.sha256, "SHA-256");
  mustEqual(await reader.at("lease-state").textContent(), "active", "the reader's lease");
  const ended = Promise.race([reader.leaseEnd(), sleep(10_000)]);
  await stage.keyhaven.run("key", "disable", KEY);
  const disabled = Date.now();
  const endedAt = await ended;
  must(endedAt, "the lease did not end");
  const after = Math.max(0, endedAt - disabled);
  must(after <= AT_ONCE_MS, `the lease ended ${after} ms after the disable`);
  await reader.at("viewer").waitFor({ state: "hidden" });
  await reader.shot("6-lease-ended");
  return `the reader's lease ended ${after} ms after disable had returned, and the picture went`;
}

export async function disableStopsVideo({ stage, reader, video }) {
  await stage.keyhaven.run("key", "enable", KEY);
  await reader.play(video.id, 1);
  await stage.keyhaven.run("key", "disable", KEY);
  const disabled = Date.now();
  await reader.at("viewer").waitFor({ state: "hidden" });
  const after = Date.now() - disabled;
  must(after <= AT_ONCE_MS, `the video was closed after ${after} ms`);
  return `the player was closed ${after} ms after disable had returned`;
}

export async function disabledOpensNothing({ reader, picture, stage }) {
  mustEqual(await reader.refusedToOpen(picture.id), "key_disabled", "code");
  await reader.shot("7-disabled");
  await stage.keyhaven.run("key", "enable", KEY);
  return "the next open is refused with key_disabled; then the key is enabled again";
}

export async function offlineLeaseEnds(story) {
  const { stage, token, reader, picture, app } = story;
  const short = await stage.startApp({ name: "offline", token, leaseSeconds: SHORT_LEASE_S });
  await reader.goTo(short.address);
  mustEqual(await reader.open(picture.id), picture.sha256, "SHA-256");
  const began = Date.now();
  short.back.cut();
  const endedAt = await Promise.race([reader.leaseEnd(), sleep(SHORT_LEASE_S * 3_000)]);
  must(endedAt, "the lease outlived its time");
  const lasted = endedAt - began;
  must(lasted <= SHORT_LEASE_S * 1_000 + 1_500, `the lease of ${SHORT_LEASE_S} s lasted ${lasted} ms`);
  must(lasted >= 1_000, `the lease ended after ${lasted} ms: by the cut, not by time`);
  const refused = await reader.refusedToOpen(picture.id);
  await reader.goTo(app.address);
  return `cut off from the server, a lease of ${SHORT_LEASE_S} s ended after ${(lasted / 1000).toFixed(1)} s; then: ${refused}`;
}

export async function schedulesDestruction(story) {
  const { stage, reader, picture } = story;
  await stage.restartKeyhaven(async () => {
    story.before = await stage.copyData("data-before");
  });
  await stage.keyhaven.run("key", "schedule-destruction", KEY, "--days", "7");
  await reader.reload();
  mustEqual(await reader.refusedToOpen(picture.id), "key_pending_destruction", "code");
  return "in 7 days; already now an open is refused with key_pending_destruction";
}

export async function destroys({ stage, reader, picture, newPicture }) {
  await stage.keyhaven.run("key", "schedule-destruction", KEY, "--now");
  for (const { id } of [picture, newPicture]) {
    mustEqual(await reader.refusedToOpen(id), "key_destroyed", "code");
  }
  await reader.shot("8-destroyed");
  const again = await stage.keyhaven.run("key", "cancel-destruction", KEY).then(() => "allowed", (error) => error.message);
  must(again !== "allowed", "a destroyed key was taken back");
  return "both versions' files are refused with key_destroyed; it cannot be taken back";
}

// The thief has all files of before, but only the HSM of after: an HSM cannot be copied.
export async function oldDatabaseOpensNothing(story) {
  const { stage } = story;
  await stage.stopKeyhaven();
  const mixed = await stage.copyData("data-mixed");
  for (const name of await readdir(story.before)) {
    if (!/^(store\.db|audit)/.test(name)) continue;
    await rm(path.join(mixed, name), { recursive: true, force: true });
    await cp(path.join(story.before, name), path.join(mixed, name), { recursive: true });
  }
  const happened = await tryOldDatabase(story, mixed);
  await stage.stopKeyhaven();
  await stage.startKeyhaven();
  return happened;
}

async function tryOldDatabase({ stage, picture, reader }, dataDir) {
  try {
    await stage.startKeyhaven(dataDir);
  } catch (error) {
    return `a server on the old database refuses to start: ${error.message}`;
  }
  const body = { ciphertext: picture.header.dataKeys[0].encrypted.toString("base64"), context: picture.header.context };
  const { status, document } = await stage.keyhaven.call("POST", `/api/v1/keys/${KEY}/decrypt`, { body });
  must(status !== 200, "the administrator opened a data key of the destroyed key");
  await reader.reload();
  const page = await reader.refusedToOpen(picture.id);
  must(!page.startsWith("nothing"), "the reader opened a file of the destroyed key");
  return `with the old database the administrator is refused with ${document.code}, the reader with ${page}`;
}
