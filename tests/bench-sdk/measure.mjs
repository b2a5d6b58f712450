// Times things against each other. Samples of all subjects take turns, so that a noisy minute hits them alike.

/**
 * Times each subject `rounds` times by turns; gives for each the median milliseconds of one operation.
 *
 * A subject is a function of `count` that does its operation that often. With `sampleMs` its count is raised until
 * a sample takes that long, because clocks are coarse; without, each sample is one operation. A subject that must
 * not be timed as a whole times itself and gives its milliseconds.
 */
export async function interleaved(subjects, { rounds, sampleMs, tell = () => {} }) {
  const names = Object.keys(subjects);
  const counts = {};
  for (const name of names) {
    tell(`${name}: warming up`);
    counts[name] = sampleMs ? await enough(subjects[name], sampleMs) : (await subjects[name](1), 1);
  }
  const samples = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    // Who goes first changes, since the one before leaves its garbage to the next.
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(round + turn) % names.length];
      tell(`${name}: ${round + 1} of ${rounds}`);
      samples[name].push((await timed(subjects[name], counts[name])) / counts[name]);
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(samples[name])]));
}

/** The middle one; of an even number, the mean of the two. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

async function timed(subject, count) {
  const begin = performance.now();
  const itself = await subject(count);
  return typeof itself === "number" ? itself : performance.now() - begin;
}

// The first samples are also where the compiler warms up.
async function enough(subject, sampleMs) {
  for (let count = 1; ; ) {
    const took = await timed(subject, count);
    if (took >= sampleMs) return count;
    count = Math.ceil(count * Math.min(10, Math.max(1.5, (1.2 * sampleMs) / Math.max(took, 0.01))));
  }
}
