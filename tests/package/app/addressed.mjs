// The same, for a bundler that copies a file that is imported, and gives its address.
import * as sdk from '@keyhaven/sdk';
import wasm from '@keyhaven/sdk/keyhaven_sdk_bg.wasm';
import { play } from '../programs/scenario.mjs';

const addressed = { ...sdk, connect: (options) => sdk.connect({ ...options, wasm: new URL(wasm, import.meta.url) }) };
globalThis.playBundled = (settings, count) => play(addressed, settings, count);
