// The same, for a bundler that copies no other files.
import * as sdk from '@keyhaven/sdk/inline';
import { play } from '../programs/scenario.mjs';

globalThis.playBundled = (settings, count) => play(sdk, settings, count);
