// The app's Service Worker: `/media/USER/FILE?type=…` is answered with the decrypted file, so that `<video src>` just
// works, and seeks. All other requests take their usual way.
import { connect } from "/sdk/page/index.js";
import { DecryptedFiles } from "/sdk/page/service-worker.js";

import { mintEnrolment, mintTicket, session } from "./api.mjs";

const MEDIA = /^\/media\/([a-z-]{1,40})\/([0-9a-f-]{36})$/;
const TYPE = /^(video|audio|image)\/[a-z0-9.+-]{1,60}$/;

/** One server of files for each user of this browser: each has a device of their own. */
const served = new Map();

function filesOf(user) {
  if (!served.has(user)) served.set(user, new DecryptedFiles({ client: () => connected(user), find }));
  return served.get(user);
}

function find(request) {
  const { pathname, searchParams } = new URL(request.url);
  const [, , id] = MEDIA.exec(pathname) ?? [];
  const type = searchParams.get("type") ?? "";
  if (!id || !TYPE.test(type)) return undefined;
  return { url: `/app/files/${id}`, type, context: { app: "keyhaven-demo", file: id } };
}

/** The same device that the page enrolled: its keys are in this origin's IndexedDB. */
async function connected(user) {
  const { issuer, lease_seconds: leaseSeconds } = await session();
  const haven = await connect({
    url: `/keyhaven/${user}`,
    issuer: issuer ?? undefined,
    leaseSeconds,
    ticket: ({ operation, context, device }) => mintTicket({ operation, file: context.file, device }),
    enrolment: () => mintEnrolment(),
  });
  haven.leases.addEventListener("leaseended", ({ reason }) => tellPages({ type: "lease-ended", reason }));
  return haven;
}

async function tellPages(message) {
  for (const page of await clients.matchAll()) page.postMessage(message);
}

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const [, user] = MEDIA.exec(new URL(event.request.url).pathname) ?? [];
  if (user) filesOf(user).handle(event);
});
