// The whole story, played by real programs: `keyhaven`, its command line, the example, and Chromium.
//
//     node story.mjs [--json FILE] [--keep]
//
// Prints a row for each step; ends with an error at the first that fails. Pictures go to `target/demo/`.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { Stage } from "./story/stage.mjs";
import { Table } from "./story/table.mjs";
import * as audit from "./story/steps/audit.mjs";
import * as capture from "./story/steps/capture.mjs";
import * as files from "./story/steps/files.mjs";
import * as life from "./story/steps/life.mjs";
import * as operator from "./story/steps/operator.mjs";
import * as refusals from "./story/steps/refusals.mjs";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

const STEPS = [
  ["1 keyhaven dev, empty folder", operator.startsFromNothing],
  ["2 operator sets up", operator.operatorSetsUp],
  ["2 a policy that does not validate", operator.badPolicyIsRefused],
  ["1 restart on the same folder", operator.restartKeepsKeys],
  ["3 writer's browser enrols", files.writerEnrols],
  ["3 writer seals 64 MiB", files.writerSealsLarge],
  ["3 writer seals a picture", files.writerSealsPicture],
  ["3 writer seals a video", files.writerSealsVideo],
  ["4 reader opens the picture", files.readerSeesPicture],
  ["4 reader plays the video", files.readerPlaysVideo],
  ["4 reader opens 64 MiB", files.readerOpensLarge],
  ["5 outsider tries", refusals.outsiderLearnsNothing],
  ["5 a second device, a spent token", refusals.secondDeviceEnrols],
  ...refusals.wrongTickets,
  ["8 the test learns the data keys", life.testLearnsDataKeys],
  ["6 rotate", life.rotates],
  ["6 disable: leases end", life.disableEndsLeases],
  ["6 disable: the video stops", life.disableStopsVideo],
  ["6 disable: nothing opens", life.disabledOpensNothing],
  ["6 offline: the lease ends", life.offlineLeaseEnds],
  ["6 schedule destruction", life.schedulesDestruction],
  ["6 destroy now", life.destroys],
  ["6 a database of before", life.oldDatabaseOpensNothing],
  ["7 audit show", audit.auditTellsAll],
  ["7 audit verify", audit.auditVerifies],
  ["8 no key in traffic or at rest", capture.captureHoldsNoKey],
  ["8 no API token at rest", capture.tokensAreNotKept],
  ["7 one byte of the log flipped", audit.flippedByteIsFound],
  ["7 the log's tail cut", audit.cutTailIsFound],
];

const { values: options } = parseArgs({ options: { json: { type: "string" }, keep: { type: "boolean" } } });
const target = path.resolve(process.env.KEYHAVEN_TARGET ?? path.join(ROOT, "target"));
const shots = path.join(target, "demo");
await mkdir(shots, { recursive: true });
const folder = await mkdtemp(path.join(tmpdir(), "keyhaven-story-"));
const stage = new Stage({ folder, shots, bin: process.env.KEYHAVEN_BIN ?? path.join(target, "debug/keyhaven") });
process.env.KEYHAVEN_NPM_PACKAGE ??= path.join(ROOT, "npm");

/** What the steps tell each other. `secrets` are what must never be found outside. */
const story = { stage, secrets: new Map() };
const table = new Table();
try {
  for (const [name, run] of STEPS) {
    await table.step(name, () => run(story));
    story.adminToken ??= stage.keyhaven.env.KEYHAVEN_TOKEN;
  }
} catch (error) {
  process.exitCode = 1;
  if (process.env.KEYHAVEN_STORY_DEBUG) console.error(error);
} finally {
  await stage.end().catch(() => {});
  if (options.json) await table.save(options.json);
  if (options.keep || process.exitCode) console.log(`\nData, recordings and logs: ${folder}`);
  else await rm(folder, { recursive: true, force: true });
}
const passed = table.rows.filter(({ ok }) => ok).length;
const seconds = table.rows.reduce((sum, { ms }) => sum + ms, 0) / 1000;
console.log(`\n${passed} of ${STEPS.length} steps ok in ${seconds.toFixed(1)} s; pictures in ${path.relative("", shots)}/`);
