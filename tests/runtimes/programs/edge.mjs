// In Vercel's edge runtime: plays once for each request.
import * as sdk from '@keyhaven/sdk';
import { play } from './scenario.mjs';

addEventListener('fetch', (event) => {
  event.respondWith(event.request.json().then(async (settings) => Response.json({ outcomes: await play(sdk, settings) })));
});
