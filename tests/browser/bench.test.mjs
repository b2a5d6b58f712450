// How the SDK's benchmark times and judges, on figures that are known.
import assert from "node:assert/strict";
import { test } from "node:test";

import { interleaved, median } from "../bench-sdk/measure.mjs";
import { figure, lead, rates, table, times } from "../bench-sdk/report.mjs";

const row = { name: "row", runtime: "node", bytes: 1024, unit: "µs" };

test("the median is the middle sample, or the mean of the two in the middle", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([9, 1, 5, 7]), 6);
});

test("an aim is met by the ratio, on the side that the row says is better", () => {
  assert.deepEqual(rates({ ...row, ours: 95, baseline: 100, aim: [">=", 0.9] }), { ...row, ours: 95, baseline: 100, ratio: 0.95, aim: ">= 0.9", met: true });
  assert.equal(rates({ ...row, ours: 100, baseline: 100, aim: [">", 1] }).met, false);
  assert.equal(times({ ...row, ours: 3.1, baseline: 1, aim: ["<=", 3] }).met, false);
  assert.deepEqual([lead({ ...row, ours: 2, baseline: 30, aim: [">=", 10] })].map(({ ratio, met }) => [ratio, met]), [[15, true]]);
});

test("a figure without a baseline is judged itself, and a row without an aim is not judged", () => {
  const judged = figure({ ...row, bytes: undefined, ours: 51.234567, aim: ["<=", 50] });
  assert.deepEqual(judged, { ...row, bytes: null, ours: 51.23, baseline: null, ratio: null, aim: "<= 50 µs", met: false });
  assert.deepEqual([figure({ ...row, ours: 1 })].map(({ aim, met }) => [aim, met]), [[null, null]]);
});

test("the table shows a missed aim as missed", () => {
  const text = table([times({ ...row, ours: 4, baseline: 1, aim: ["<=", 3] }), figure({ ...row, ours: 1 })]);
  const [, missed, plain] = text.split("\n");
  assert.match(missed, /^✗ missed {2}row +node +1 KiB +4 +1 +µs +4\.00 +<= 3$/);
  assert.match(plain, /^ +row +node +1 KiB +1 +µs$/);
});

test("subjects take turns, each is warmed up, and the one that times itself is believed", async () => {
  const order = [];
  const subject = (name) => (count) => void order.push(`${name}${count}`);
  const medians = await interleaved({ a: subject("a"), b: subject("b"), c: () => 7 }, { rounds: 3 });
  assert.deepEqual(order, ["a1", "b1", "a1", "b1", "b1", "a1", "a1", "b1"]);
  assert.equal(medians.c, 7);
});

test("a quick subject is repeated until a sample is long enough for the clock", async () => {
  const counts = [];
  const perOperation = 0.5;
  const medians = await interleaved({ quick: (count) => (counts.push(count), count * perOperation) }, { rounds: 5, sampleMs: 20 });
  assert.ok(counts.slice(-5).every((count) => count * perOperation >= 20));
  assert.equal(medians.quick, perOperation);
});
