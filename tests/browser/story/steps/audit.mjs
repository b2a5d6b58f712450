// Step 7: what the audit log tells, and that it cannot be changed unseen.
import { readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";

import { must, mustEqual } from "../table.mjs";

/** What must be in the log: who, what, and how it was decided. */
const STORY = [
  ["CreateKeyring", "allowed"], ["CreateKey", "allowed"], ["CreatePrincipal", "allowed"], ["PutPolicy", "allowed"], ["IssueToken", "allowed"],
  ["MintEnrolmentToken", "allowed"], ["EnrolDevice", "allowed"], ["EnrolDevice", "refused"],
  ["MintTicket", "allowed"], ["DeliverDataKey", "allowed"], ["DeliverDataKey", "refused"],
  ["UnsealDataKey", "allowed"], ["UnsealDataKey", "refused"], ["Decrypt", "allowed"], ["Decrypt", "refused"], ["GenerateDataKey", "allowed"],
  ["RotateKey", "allowed"], ["DisableKey", "allowed"], ["EnableKey", "allowed"],
  ["ScheduleKeyDestruction", "allowed"], ["DestroyKey", "allowed"],
];

export async function auditTellsAll(story) {
  const { entries } = await story.stage.keyhaven.json("audit", "show");
  for (const [operation, decision] of STORY) {
    const entry = entries.find((each) => each.operation === operation && decided(each) === decision);
    must(entry, `no entry of ${operation} ${decision}`);
    must(entry.principal && entry.time && entry.request_id, `the entry of ${operation} does not say who, when and in which request`);
  }
  const unsealed = entries.find((each) => each.operation === "UnsealDataKey" && decided(each) === "allowed");
  must(unsealed.device && JSON.stringify(unsealed).includes(story.key.id), "the entry of UnsealDataKey does not name device and key");
  const refused = entries.filter((each) => decided(each) === "refused").length;
  return `${entries.length} entries, ${refused} of them refusals; each step of the story is there, with who, what, device and why`;
}

export async function auditVerifies({ stage }) {
  return (await stage.keyhaven.run("audit", "verify", "--data-dir", stage.dataDir)).trim().split("\n").at(-1);
}

export async function flippedByteIsFound({ stage }) {
  const copy = await stage.copyData("data-flipped");
  const file = await largestLogFile(copy);
  const bytes = await readFile(file);
  const place = bytes.indexOf("DisableKey");
  must(place > 0, `${path.basename(file)} has no entry of DisableKey`);
  bytes[place] ^= 1;
  await writeFile(file, bytes);
  return verifyFails(stage, copy);
}

export async function cutTailIsFound({ stage }) {
  const copy = await stage.copyData("data-cut");
  const file = await largestLogFile(copy);
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

async function largestLogFile(dataDir) {
  const folder = path.join(dataDir, "audit");
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const sized = await Promise.all(files.map(async (entry) => {
    const file = path.join(entry.parentPath ?? entry.path, entry.name);
    return { file, size: (await readFile(file)).length };
  }));
  return sized.sort((a, b) => b.size - a.size)[0].file;
}

function decided(entry) {
  return /^allow/i.test(entry.decision) ? "allowed" : "refused";
}
