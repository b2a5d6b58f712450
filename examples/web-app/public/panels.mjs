// What the page shows. Text goes in as text, never as HTML.
import { inspect, keyIsInWebCrypto } from "./haven.mjs";

const HEX_BYTES = 128;
const ROW = 8;

/** The element with this test id. */
export const at = (id) => document.querySelector(`[data-testid="${id}"]`);

export function write(id, text) {
  at(id).textContent = text;
}

/** Tells people who cannot see the page what has happened. */
export function say(text) {
  document.querySelector("#status").textContent = text;
}

const TITLES = {
  access_denied: "You may not use this key",
  key_disabled: "This key is disabled",
  key_pending_destruction: "This key is about to be destroyed",
  key_destroyed: "This key has been destroyed",
  device_unknown: "Keyhaven does not know this browser: reload the page to enrol it anew",
  network_failed: "Keyhaven cannot be reached",
  unavailable: "Keyhaven cannot be reached",
};

/** Shows what was refused and why, with the code and the id under which the server's log has it. */
export function showError(what, error) {
  const code = error.code ?? error.name;
  write("notice-title", `${what}: ${TITLES[code] ?? (error.code ? "refused" : "it did not work")}`);
  write("notice-detail", error.message);
  write("notice-code", code);
  write("notice-request", error.requestId ? `request ${error.requestId}` : "");
  at("notice").hidden = false;
}

export function hideError() {
  at("notice").hidden = true;
}

/** While one thing is under way, no other can be begun. */
export function setBusy(busy) {
  for (const control of document.querySelectorAll("#users, #sample, [data-testid=open]")) control.disabled = busy;
  document.querySelector("#file").disabled = busy || !document.body.dataset.ready;
  document.body.toggleAttribute("data-busy", busy);
}

export function showProgress(verb, { share, rate }) {
  at("progress").hidden = false;
  at("progress").querySelector("progress").value = Math.min(1, share);
  write("progress-text", `${verb} · ${Math.round(Math.min(1, share) * 100)} % · ${(rate / 1e6).toFixed(0)} MB/s`);
}

export function hideProgress() {
  at("progress").hidden = true;
}

export async function showDevice(id, pinned) {
  at("device-dot").dataset.state = "on";
  write("device-state", "enrolled");
  write("device-id", `${id.slice(0, 16)}…`);
  at("device-id").title = id;
  write("device-key", (await keyIsInWebCrypto()) ? "X25519 in WebCrypto, ML-KEM-768 in WebAssembly" : "inside WebAssembly, sealed at rest");
  write("device-issuer", pinned ? "pinned by this app" : "trusted on first use");
}

export function showDeviceFailure() {
  at("device-dot").dataset.state = "bad";
  write("device-state", "could not enrol");
}

const LEASE_ENDS = {
  lease_expired: "Its time was up.",
  key_stopped: "The server ended it: the key may no longer be used.",
  device_revoked: "The server ended it: this device was revoked.",
  policy_changed: "The server ended it: the rules have changed, so ask again.",
};

/** Shows the lease as `active` until a time, or as `ended` for a reason. */
export function showLease(state, untilOrReason) {
  at("lease-state").dataset.state = state;
  write("lease-state", state);
  write("lease-text", state === "active"
    ? `This page holds a data key until ${new Date(untilOrReason).toLocaleTimeString()}. The server can end that at any moment; then the page drops what it has opened.`
    : `${LEASE_ENDS[untilOrReason] ?? "It is over."} The data key is gone, and the page dropped what it had opened.`);
}

/** Shows the bytes that travelled, and what anyone can read in them. */
export async function showWire(head) {
  const { keyId, keyVersion, signed } = await inspect(head);
  write("wire-key", keyId);
  write("wire-version", String(keyVersion));
  write("wire-suite", signed ? "AES-256-GCM, committing, signed (0x0578)" : "AES-256-GCM, committing (0x0478)");
  const rows = [];
  for (let offset = 0; offset < Math.min(HEX_BYTES, head.length); offset += ROW) {
    const row = head.subarray(offset, offset + ROW);
    const letters = document.createElement("b");
    letters.textContent = Array.from(row, printable).join("");
    const digits = Array.from(row, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    rows.push(`${offset.toString(16).padStart(4, "0")}  ${digits.padEnd(ROW * 3 - 1)}  `, letters, "\n");
  }
  at("wire-hex").classList.add("bytes");
  at("wire-hex").replaceChildren(...rows);
}

const printable = (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·");

/** Shows a decrypted file: a picture as such, anything else to save. */
export function showOpened({ name, type, blob, sha256, note }) {
  closeOpened();
  const url = URL.createObjectURL(blob);
  const picture = at("picture");
  picture.hidden = !/^image\/(png|jpeg|gif|webp|avif)$/.test(type);
  if (!picture.hidden) picture.src = url;
  picture.alt = `The decrypted picture ${name}`;
  write("opened-sha256", sha256);
  at("opened-hash").hidden = false;
  const save = at("save");
  Object.assign(save, { hidden: false, href: url, download: name });
  showViewer(name, note);
}

/** Shows a player for a file; gives its element, which has no source yet. */
export function showPlayer({ name }) {
  closeOpened();
  at("opened-hash").hidden = true;
  at("save").hidden = true;
  const video = at("video");
  video.hidden = false;
  video.setAttribute("aria-label", `The decrypted video ${name}`);
  showViewer(name, "Decrypted by this page’s Service Worker as it plays.");
  return video;
}

/** Whether a video is open; whether it is the one of that address. */
export function isPlaying(url) {
  const { src } = at("video");
  return src !== "" && (url === undefined || src === url);
}

function showViewer(name, note) {
  write("opened-name", name);
  write("opened-note", note);
  at("viewer").hidden = false;
  at("viewer").scrollIntoView({ block: "nearest" });
}

/** Drops what was opened. */
export function closeOpened() {
  const save = at("save");
  if (save.href) URL.revokeObjectURL(save.href);
  save.removeAttribute("href");
  at("picture").removeAttribute("src");
  at("picture").hidden = true;
  const video = at("video");
  video.removeAttribute("src");
  // Only this lets go of what is buffered.
  video.load();
  video.hidden = true;
  at("viewer").hidden = true;
}
