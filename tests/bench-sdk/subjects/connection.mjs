// How to reach the server, and to get its permission, through the front. Loads nothing: cold starts begin here.

const context = { purpose: "benchmark" };
/** Options that name the key and the context. */
export const sealing = { key: "bench", context };
/** Options that require the context. */
export const opening = { context };

/** Options of `connect`. */
export function connection({ origin, issuer }) {
  return {
    url: origin,
    issuer,
    leaseSeconds: 3600,
    ticket: async (want) => (await posted(`${origin}/ticket`, want)).ticket,
    enrolment: async () => (await posted(`${origin}/enrolment`, {})).token,
  };
}

async function posted(url, document) {
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(document) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}
