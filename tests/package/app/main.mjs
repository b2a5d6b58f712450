// An application as a user writes it: the package by its name, and a bundler does the rest.
import * as sdk from '@keyhaven/sdk';
import { play } from '../programs/scenario.mjs';

globalThis.playBundled = (settings, count) => play(sdk, settings, count);
