// Each step that a runtime played is a test.
import assert from 'node:assert/strict';

/** Reports a play's outcomes as subtests; `least` guards against a play of nothing. */
export async function report(t, { outcomes, times }, least = 11) {
  if (times) t.diagnostic(`cold start: ${Object.entries(times).map(([name, ms]) => `${name} ${ms.toFixed(0)} ms`).join(', ')}`);
  for (const { step, error } of outcomes) {
    await t.test(step, () => assert.ok(error === undefined, error));
  }
  assert.ok(outcomes.length >= least, `only ${outcomes.length} steps were played`);
}
