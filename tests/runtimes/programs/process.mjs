// In Node, Deno and Bun: `process.mjs SETTINGS` prints how it went as one line of JSON.
import process from 'node:process';
import { coldStart, play } from './scenario.mjs';

const settings = JSON.parse(process.argv[2]);
const load = () => import('@keyhaven/sdk');
const times = await coldStart(load, settings);
console.log(JSON.stringify({ times, outcomes: await play(await load(), settings) }));
