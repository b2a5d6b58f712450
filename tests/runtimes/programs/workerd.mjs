// In workerd: plays once for each request.
import * as sdk from '@keyhaven/sdk';
import { play } from './scenario.mjs';

export default {
  async fetch(request) {
    return Response.json({ outcomes: await play(sdk, await request.json()) });
  },
};
