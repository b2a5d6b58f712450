// In a Web Worker: plays when it is told to.
import { coldStart, play } from './scenario.mjs';

addEventListener('message', async ({ data: { entry, settings } }) => {
  try {
    const load = () => import(entry);
    const times = await coldStart(load, settings);
    postMessage({ times, outcomes: await play(await load(), settings) });
  } catch (error) {
    postMessage({ outcomes: [{ step: 'starts', error: String(error.stack) }] });
  }
});
