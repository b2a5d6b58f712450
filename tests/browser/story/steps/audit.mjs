// Step 7: what the audit log tells, and that it cannot be changed unseen.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";

import { must, mustEqual } from "../table.mjs";

const LOG = "audit/entries.jsonl";

/** What must be in the log as allowed. */
const ALLOWED = [
  "CreateKeyring", "CreateKey", "CreatePrincipal", "IssueToken", "PutPolicy", "MintEnrolmentToken", "EnrolDevice", "MintTicket",
  "DeliverDataKey", "UnsealDataKey", "Decrypt", "GenerateDataKey", "RotateKey", "DisableKey", "EnableKey", "ScheduleKeyDestruction", "DestroyKey",
];

/** What must be in it as refused, and why. */
const REFUSED = [
  ["UnsealDataKey", "access_denied"], ["Decrypt", "access_denied"], ["EnrolDevice", "enrolment_spent"],
  ...["spent", "expired", "wrong_key", "wrong_operation", "wrong_context", "wrong_device"].map((why) => ["DeliverDataKey", `ticket_${why}`]),
  // For a key that is stopped not even a ticket is minted.
  ...["disabled", "pending_destruction", "destroyed"].map((state) => ["MintTicket", `key_${state}`]),
];

export async function auditTellsAll(story) {
  const { entries } = await story.stage.keyhaven.json("audit", "show");
  const find = (operation, decision, outcome) =>
    entries.find((entry) => entry.operation === operation && entry.decision === decision && entry.outcome === outcome);
  for (const operation of ALLOWED) mustSayWho(find(operation, "allowed", "ok"), `${operation}, allowed`);
  for (const [operation, why] of REFUSED) mustSayWho(find(operation, "refused", why), `${operation}, refused by ${why}`);
  const unsealed = find("UnsealDataKey", "allowed", "ok");
  mustEqual(unsealed.key, story.key.id, "the key in the entry of UnsealDataKey");
  mustEqual(unsealed.version, 1, "the version in the entry of UnsealDataKey");
  must(unsealed.device && unsealed.policies.length > 0, "the entry of UnsealDataKey names no device or no policy");
  const refused = entries.filter(({ decision }) => decision === "refused").length;
  return `${entries.length} entries, ${refused} of them refusals: each step of the story, with who, what, which version and device, and why`;
}

function mustSayWho(entry, what) {
  must(entry, `no entry of ${what}`);
  must(entry.principal && entry.time_ms && entry.request_id, `the entry of ${what} does not say who, when and in which request`);
}

export async function auditVerifies({ stage }) {
  return (await stage.keyhaven.run("audit", "verify", "--data-dir", stage.dataDir)).trim().split("\n").at(-1);
}

export async function flippedByteIsFound({ stage }) {
  const copy = await stage.copyData("data-flipped");
  const file = path.join(copy, LOG);
  const bytes = await readFile(file);
  const place = bytes.indexOf("DisableKey");
  must(place > 0, `${LOG} has no entry of DisableKey`);
  bytes[place] ^= 1;
  await writeFile(file, bytes);
  return verifyFails(stage, copy);
}

export async function cutTailIsFound({ stage }) {
  const copy = await stage.copyData("data-cut");
  const file = path.join(copy, LOG);
  const bytes = await readFile(file);
  await writeFile(file, bytes.subarray(0, bytes.length - 200));
  return verifyFails(stage, copy);
}

async function verifyFails({ keyhaven }, dataDir) {
  const error = await keyhaven.run("audit", "verify", "--data-dir", dataDir).then(() => null, (failure) => failure);
  must(error, "the changed log was verified");
  mustEqual(typeof error.code, "number", "the way `audit verify` ended");
  return `found: ${error.stderr.trim().split("\n").at(-1)}`;
}
