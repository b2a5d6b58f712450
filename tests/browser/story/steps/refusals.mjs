// Step 5: who is refused, and what each wrong ticket is told.
import { setTimeout as sleep } from "node:timers/promises";

import { must, mustEqual } from "../table.mjs";
import { deviceOf } from "./files.mjs";

const CONTEXT = { app: "keyhaven-demo", file: "0".repeat(36) };
const PROBLEM = ["code", "detail", "request_id", "status", "title", "type"];

export async function outsiderLearnsNothing({ stage, app, picture, key }) {
  const outsider = await stage.invite("outsider", { address: app.address });
  mustEqual(await outsider.refusedToOpen(picture.id), "access_denied", "code");
  await outsider.shot("4-outsider-refused");
  const told = await outsider.lastProblem();
  mustEqual(Object.keys(JSON.parse(told)).sort().join(" "), PROBLEM.join(" "), "members of the answer");
  for (const word of [key.id, "photos", "photo-users", "web-app", "writer", "reader", "Keyring"]) {
    must(!told.includes(word), `the refusal tells of \`${word}\`: ${told}`);
  }
  await outsider.leave();
  return `refused with access_denied, and told nothing more: ${JSON.parse(told).detail}`;
}

/** Tickets that must not work; each gives the ticket to try, and the request to try it with. */
const WRONG_TICKETS = [
  ["ticket_spent", "used twice", async (world) => {
    const ticket = await mint(world, {});
    mustEqual(await tryTicket(world, { ticket }), "allowed", "a good ticket's first use");
    return { ticket };
  }],
  ["ticket_expired", "expired", async (world) => {
    const ticket = await mint(world, { expires_in_s: 1 });
    await sleep(2_100);
    return { ticket };
  }],
  ["ticket_wrong_key", "for another key", async (world) => ({ ticket: await mint(world, { key: "app:maps" }) })],
  ["ticket_wrong_operation", "for another operation", async (world) => ({ ticket: await mint(world, { operations: ["UnsealDataKey"] }) })],
  ["ticket_wrong_context", "for another context", async (world) => ({ ticket: await mint(world, { context: { ...CONTEXT, file: "1" } }) })],
  ["ticket_wrong_device", "for another device", async (world) => ({ ticket: await mint(world, { device: world.otherDevice }) })],
];

export async function secondDeviceEnrols(story) {
  const { writer, stage, token } = story;
  const body = { subject: "writer", origin: new URL(writer.page.url()).origin };
  const minted = await stage.keyhaven.call("POST", "/api/v1/enrolment-tokens", { token, body });
  mustEqual(minted.status, 201, "status of minting an enrolment token");
  const enrol = { enrolment: minted.document.token };
  story.otherDevice = await writer.page.evaluate(useSdk, enrol);
  must(story.otherDevice !== (await deviceOf(writer)), "the second device has the first one's id");
  const again = await writer.page.evaluate(useSdk, enrol);
  mustEqual(again, "enrolment_spent", "the token's second use");
  return `device ${story.otherDevice.slice(0, 12)}…; the same enrolment token again: ${again}`;
}

/** A step for each wrong ticket. */
export const wrongTickets = WRONG_TICKETS.map(([code, words, prepare]) => [
  `5 a ticket ${words}`,
  async (story) => {
    const found = await tryTicket(story, await prepare(story));
    mustEqual(found, code, "code");
    return `refused with ${found}`;
  },
]);

async function mint({ stage, token, writer }, { key = "app:photos", ...wish }) {
  const body = { subject: "writer", operations: ["DeliverDataKey"], context: CONTEXT, context_exact: true, device: await deviceOf(writer), ...wish };
  const { status, document } = await stage.keyhaven.call("POST", `/api/v1/keys/${key}/tickets`, { token, body });
  must(status === 200 || status === 201, `minting a ticket: ${status} ${JSON.stringify(document)}`);
  return document.ticket;
}

const tryTicket = ({ writer }, { ticket }) => writer.page.evaluate(useSdk, { ticket, key: "app:photos", context: CONTEXT });

// Runs in the page, as another script of the app might: encrypts one byte under the ticket it is given, or
// only enrols. Gives the refusal's code.
async function useSdk({ ticket, enrolment, key, context }) {
  const { connect } = await import("/sdk/page/index.js");
  let haven;
  try {
    haven = await connect({
      url: `${location.origin}/keyhaven/writer`,
      // With an enrolment token it is another device than the page's own.
      storage: enrolment ? "memory" : "indexeddb",
      ticket: async () => ticket,
      enrolment: async () => enrolment,
    });
    if (enrolment) return haven.device;
    const source = new Blob(["x"]).stream().pipeThrough(haven.encryptStream({ key, context }));
    const reader = source.getReader();
    while (!(await reader.read()).done);
    return "allowed";
  } catch (error) {
    return error.code ?? String(error);
  } finally {
    // Its stream of lease events would keep one of the browser's six connections.
    await haven?.close();
  }
}
