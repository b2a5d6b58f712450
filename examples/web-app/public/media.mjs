// The page's side of the Service Worker that plays encrypted videos.
import { RefusedError } from "./api.mjs";

// The page's policy (Trusted Types) lets scripts come from here only.
const policy = globalThis.trustedTypes?.createPolicy("media-worker", { createScriptURL: (url) => url });
const SCRIPT = policy?.createScriptURL("/media-worker.mjs") ?? "/media-worker.mjs";
const PLAYABLE = /^(video\/(mp4|webm|ogg)|audio\/(mpeg|ogg|webm|mp4))$/;

/** Whether a file of that type is played from its address, in place of being decrypted to memory as a whole. */
export const isPlayable = (type) => PLAYABLE.test(type);

/** The address under which the Service Worker serves the decrypted file. */
export const mediaUrl = (user, { id, type }) => `/media/${user}/${id}?type=${encodeURIComponent(type)}`;

/**
 * Starts the Service Worker, and resolves when it answers this page's requests. `onFailure` hears of files that it
 * could not serve, `onLeaseEnd` of the end of its leases.
 */
export async function startMedia({ onFailure, onLeaseEnd }) {
  navigator.serviceWorker.addEventListener("message", ({ data }) => {
    if (data?.type === "keyhaven-failure") onFailure(data);
    if (data?.type === "lease-ended") onLeaseEnd(data);
  });
  const claimed = new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
  await navigator.serviceWorker.register(SCRIPT, { type: "module" });
  if (!navigator.serviceWorker.controller) await claimed;
}

/** Plays a file in the element; resolves when its first picture is there, and fails with the worker's own words. */
export async function play(element, url) {
  const begun = new Promise((resolve, reject) => {
    element.addEventListener("loadeddata", resolve, { once: true });
    element.addEventListener("error", reject, { once: true });
  });
  element.src = url;
  try {
    await begun;
  } catch {
    throw await failureOf(url);
  }
}

// An element tells no reason, but the Service Worker's answer does.
async function failureOf(url) {
  const answer = await fetch(url, { headers: { Range: "bytes=0-0" } });
  if (answer.ok) return new Error("The browser cannot play this file.");
  return new RefusedError({ ...(await answer.json()), status: answer.status });
}
