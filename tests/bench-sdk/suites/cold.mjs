// Cold start: from `import` to the first decrypted byte. One sample a run: the runtime itself must be new.

/**
 * Imports the package, connects, decrypts. Gives milliseconds: of all, of each step, and of the time in which an
 * answer from the network was waited for. `clock` may itself take a while.
 */
export async function coldStart({ load, clock, connection, message, options }) {
  const network = meter(clock);
  const began = await clock();
  const sdk = await load();
  const imported = await clock();
  const client = await sdk.connect({ ...connection, fetch: network.fetch, ticket: network.timed(connection.ticket) });
  const ready = await clock();
  const opened = await client.decrypt(message, options);
  const ended = await clock();
  if (opened.length === 0) throw new Error("nothing was decrypted");
  await client.close();
  return { total: ended - began, import: imported - began, connect: ready - imported, decrypt: ended - ready, network: network.total() };
}

// Adds up the time during which an answer was waited for. The push channel, which stays open, is not counted.
function meter(clock) {
  let waiting = 0;
  let since;
  let sum = 0;
  const timed = (act) => async (...args) => {
    if (waiting++ === 0) since = await clock();
    try {
      return await act(...args);
    } finally {
      if (--waiting === 0) sum += (await clock()) - since;
    }
  };
  const plain = globalThis.fetch.bind(globalThis);
  const counted = timed(plain);
  return { timed, total: () => sum, fetch: (url, init) => (/lease-events/.test(String(url)) ? plain : counted)(url, init) };
}
