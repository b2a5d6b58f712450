// A client of a server's other side (peer.mjs), for as long as a test runs; and waiting for what it does.

import assert from 'node:assert/strict';

/** How to connect to that server. */
export const optionsFor = (peer) => ({
  url: 'https://keys.example',
  ticket: async () => 'a.ticket.jws',
  enrolment: async () => 'an.enrolment.jws',
  issuer: peer.issuer,
  fetch: peer.fetch,
});

/** A client, closed with the test. The package is loaded as late as this: a test may prepare the platform before. */
export async function connected(t, peer, options = {}) {
  const { connect } = await import('@keyhaven/sdk');
  const client = await connect({ ...optionsFor(peer), ...options });
  t.after(() => client.close());
  return client;
}

/** The requests for an operation, such as `/unseal-data-key`. */
export const asked = (peer, operation) => peer.requests.filter(({ path }) => path.endsWith(operation));

/** Waits until it is so. */
export async function until(condition, milliseconds = 30_000) {
  for (const end = Date.now() + milliseconds; !condition(); ) {
    assert.ok(Date.now() < end, 'it did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Lets seconds pass by the test's mocked timers, `step` at a time, and whatever is done in them be done. */
export async function pass(t, seconds, step = 1) {
  for (let second = 0; second < seconds; second += step) {
    t.mock.timers.tick(step * 1_000);
    await turned();
  }
}

/** WebCrypto works on threads of its own, which mocked time does not wait for: so this counts what is under way there. */
let underWay = 0;
for (const name of Object.getOwnPropertyNames(SubtleCrypto.prototype)) {
  const original = SubtleCrypto.prototype[name];
  if (typeof original !== 'function' || name === 'constructor') continue;
  SubtleCrypto.prototype[name] = function counted(...input) {
    underWay += 1;
    return Reflect.apply(original, this, input).finally(() => (underWay -= 1));
  };
}

/** Waits until nothing is under way, and whatever follows from it neither. */
async function turned() {
  for (let quiet = 0; quiet < 20; quiet = underWay === 0 ? quiet + 1 : 0) await new Promise((resolve) => setImmediate(resolve));
}

/** Asserts that an error is of a kind of the package's, with that code. */
export const coded = (code, kind = Error) => (error) => {
  assert.ok(error instanceof kind, `${error} is no ${kind.name}`);
  assert.equal(error.code, code);
  return true;
};

/** What nobody catches until the test ends. */
export function unheard(t) {
  const reasons = [];
  const hear = (reason) => reasons.push(reason);
  process.on('unhandledRejection', hear);
  t.after(() => process.off('unhandledRejection', hear));
  return reasons;
}
