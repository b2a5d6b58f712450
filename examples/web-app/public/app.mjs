// The page from top to bottom: who is here, their device, their files.
import { fetchHead, logIn, session } from "./api.mjs";
import { showFiles } from "./filelist.mjs";
import { openHaven } from "./haven.mjs";
import { isPlayable, mediaUrl, play, startMedia } from "./media.mjs";
import * as panels from "./panels.mjs";
import { downloadAndDecrypt, encryptAndUpload } from "./transfer.mjs";

const input = document.querySelector("#file");
const drop = document.querySelector("#drop");
let haven = null;
let busy = false;

async function start() {
  const here = await session();
  showUsers(here);
  if (!here.user) {
    panels.say("Choose a user to begin.");
    return;
  }
  await showFiles(open);
  try {
    haven = await openHaven(here);
  } catch (error) {
    panels.showDeviceFailure();
    throw error;
  }
  haven.leases.addEventListener("leaseended", leaseEnded);
  await startMedia({ onFailure: playingFailed, onLeaseEnd: playingEnded });
  await panels.showDevice(haven.device, here.issuer !== null);
  document.body.dataset.ready = here.user;
  panels.say(`Ready: this browser is ${here.user}’s device.`);
}

function showUsers({ user, users }) {
  const choices = users.map((name) => {
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "user", value: name, checked: name === user });
    radio.dataset.testid = `user-${name}`;
    // The other user's keys and opened files must not stay: begin anew.
    radio.addEventListener("change", () => attempt("Log in", async () => {
      await logIn(name);
      location.reload();
    }));
    label.append(radio, name);
    return label;
  });
  document.querySelector(".choices").replaceChildren(...choices);
}

async function seal(file) {
  const began = performance.now();
  const { head } = await encryptAndUpload(haven, file, (progress) => panels.showProgress("Encrypting and uploading", progress));
  await panels.showWire(head);
  showLeases();
  await showFiles(open);
  panels.say(`${file.name} is encrypted and uploaded, in ${elapsed(began)}.`);
}

function open(file) {
  return attempt(`Open ${file.name}`, async () => {
    if (!haven) throw new Error("This browser is not enrolled: choose a user first.");
    if (isPlayable(file.type)) return watch(file);
    const began = performance.now();
    const opened = await downloadAndDecrypt(haven, file, (progress) => panels.showProgress("Downloading and decrypting", progress));
    await panels.showWire(opened.head);
    panels.showOpened({ ...file, ...opened, note: `Decrypted in this tab in ${elapsed(began)}.` });
    showLeases();
    panels.say(`${file.name} is decrypted.`);
  });
}

/** Plays a video: the Service Worker decrypts what the element asks for, and no more. */
async function watch(file) {
  await panels.showWire(await fetchHead(file.id));
  try {
    await play(panels.showPlayer(file), mediaUrl(document.body.dataset.ready, file));
  } catch (error) {
    panels.closeOpened();
    throw error;
  }
  panels.say(`${file.name} plays.`);
}

// What the Service Worker could not serve while a video was open.
function playingFailed({ url, code, message }) {
  if (!panels.isPlaying(url)) return;
  panels.closeOpened();
  panels.showError("Play", Object.assign(new Error(message), { code }));
}

function playingEnded({ reason }) {
  if (!panels.isPlaying()) return;
  panels.closeOpened();
  panels.showLease("ended", reason);
  panels.say("The lease has ended. The video is closed.");
}

// What an upload's data key was needed for is done when the upload is; an opened file's is kept for a while.
function showLeases() {
  const ends = haven.leases.current.map(({ endsAt }) => endsAt);
  if (ends.length > 0) panels.showLease("active", Math.max(...ends));
}

function leaseEnded({ reason }) {
  if (haven.leases.current.length > 0) return;
  panels.closeOpened();
  panels.showLease("ended", reason);
  panels.say("The lease has ended. What was open is closed.");
}

/** Runs one thing at a time, and shows what goes wrong. */
async function attempt(what, act) {
  if (busy) return;
  busy = true;
  panels.setBusy(true);
  panels.hideError();
  try {
    await act();
  } catch (error) {
    // The server began anew without this browser's device: so does the browser.
    if (error.code === "device_unknown") await haven.forget();
    panels.showError(what, error);
    panels.say(`${what}: refused.`);
  } finally {
    panels.hideProgress();
    busy = false;
    panels.setBusy(false);
  }
}

const sealFirst = (files) => files.length > 0 && haven && attempt(`Encrypt ${files[0].name}`, () => seal(files[0]));

function elapsed(began) {
  const ms = performance.now() - began;
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

input.addEventListener("change", async () => {
  await sealFirst([...input.files]);
  input.value = "";
});
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") sealFirst([...event.dataTransfer.files]);
  });
}
document.querySelector("#sample").addEventListener("click", async () => {
  const video = await (await fetch("/beacon.webm")).blob();
  await sealFirst([new File([video], "beacon.webm", { type: "video/webm" })]);
});
document.querySelector("#notice button").addEventListener("click", panels.hideError);
attempt("Connect", start);
