// Steps 3 and 4: a file sealed in one browser and opened in another.
import { readFile } from "node:fs/promises";
import path from "node:path";

import { readHeader } from "../header.mjs";
import { makeLarge, makePicture, takeVideo } from "../samples.mjs";
import { must, mustEqual } from "../table.mjs";

export async function writerEnrols(story) {
  const { stage } = story;
  story.app = await stage.startApp({ name: "app", token: story.token });
  story.writer = await stage.invite("writer", { address: story.app.address });
  const { page } = story.writer;
  const device = await deviceOf(story.writer);
  const { extractable, sealed } = await page.evaluate(storedPrivateKeys);
  mustEqual(JSON.stringify(extractable), "[false,false,false]", "extractability of the stored private keys");
  // Salt, commitment, the ML-KEM-768 seed and the tag: so the device is hybrid, and its X25519 key WebCrypto's.
  mustEqual(sealed, 32 + 32 + 64 + 16, "bytes of the sealed private key");
  const [cookies, stored] = await page.evaluate(() => [document.cookie, localStorage.length + sessionStorage.length]);
  must(cookies === "" && stored === 0, "the page can reach a credential");
  await story.writer.shot("1-writer-enrolled");
  return `device ${device.slice(0, 12)}… is hybrid; its keys in WebCrypto are not extractable, its ML-KEM-768 key is kept sealed; no credential in the page`;
}

export async function writerSealsLarge(story) {
  story.large = await makeLarge(story.stage.folder);
  return seal(story, story.large);
}

export async function writerSealsPicture(story) {
  story.picture = await makePicture(story.stage.folder, "harbour.png");
  const happened = await seal(story, story.picture);
  await story.writer.shot("2-writer-uploaded");
  return happened;
}

export async function readerSeesPicture(story) {
  const { stage, app, picture } = story;
  story.reader = await stage.invite("reader", { address: app.address, colorScheme: "dark" });
  mustEqual(await story.reader.open(picture.id), picture.sha256, "SHA-256 of the picture");
  must(await story.reader.seesPicture(), "the picture does not show");
  await story.reader.shot("3-reader-opened");
  return "in another profile, the picture shows; bytes are equal";
}

export async function writerSealsVideo(story) {
  story.video = await takeVideo(story.stage.folder);
  return seal(story, story.video);
}

export async function readerPlaysVideo({ reader, video }) {
  const { length, at, width } = await reader.play(video.id, 5);
  mustEqual(`${length} ${at} ${width}`, "8 5 640", "length, position and width of the video");
  await reader.shot("4-reader-plays");
  return "its Service Worker decrypts what the player asks for: 8 s, 640 pixels wide, sought to second 5";
}

export async function readerOpensLarge({ reader, large }) {
  const began = performance.now();
  mustEqual(await reader.open(large.id), large.sha256, "SHA-256 of the large file");
  return `64 MiB, bytes are equal: SHA-256 ${large.sha256.slice(0, 16)}…, ${rate(large.bytes, began)}`;
}

/** Uploads a sample as the writer, and notes its id and header. */
export async function seal({ stage, writer }, sample) {
  const began = performance.now();
  sample.id = await writer.upload(sample.file);
  const speed = rate(sample.bytes, began);
  const stored = await readFile(path.join(stage.appData, "files", `${sample.id}.bin`));
  sample.header = readHeader(stored);
  sample.stored = stored.subarray(0, 4096);
  mustEqual(sample.header.dataKeys[0].provider, "keyhaven", "provider in the header");
  must(!stored.includes(sample.marker), "the store holds plaintext");
  return `${sample.name}: ${sample.bytes} bytes sealed and uploaded, ${speed}; the store holds ciphertext, ${await writer.versionOf(sample.id)}`;
}

/** The full id of a person's device. */
export const deviceOf = (person) => person.at("device-id").getAttribute("title");

const rate = (bytes, began) => `${(bytes / 1000 / (performance.now() - began)).toFixed(1)} MB/s`;

// Runs in the page: whether each key of WebCrypto in the SDK's store can be exported, and the size of the one that is sealed.
async function storedPrivateKeys() {
  const request = (made) => new Promise((resolve, reject) => {
    made.onsuccess = () => resolve(made.result);
    made.onerror = () => reject(made.error);
  });
  const database = await request(indexedDB.open("keyhaven"));
  const [device] = await request(database.transaction("devices").objectStore("devices").getAll());
  database.close();
  const { authentication, sealing } = device;
  const keys = [authentication.privateKey, sealing.x25519.privateKey, sealing.module.guard];
  return { extractable: keys.map((key) => key.extractable), sealed: sealing.module.sealed.length };
}
