// In a Service Worker, which may not import anything later than at its start.
import * as sdk from '/sdk/page/index.js';
import { coldStart, play } from './scenario.mjs';

addEventListener('install', () => skipWaiting());
addEventListener('message', (event) => {
  event.waitUntil(run(event.data.settings).then((result) => event.ports[0].postMessage(result)));
});

async function run(settings) {
  try {
    const times = await coldStart(async () => sdk, settings);
    return { times, outcomes: await play(sdk, settings) };
  } catch (error) {
    return { outcomes: [{ step: 'starts', error: String(error.stack) }] };
  }
}
