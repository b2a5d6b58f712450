// In a page: plays there, in a Web Worker, or in a Service Worker.
import { coldStart, play } from './scenario.mjs';

const PLACES = {
  async page(settings, entry) {
    const load = () => import(entry);
    const times = await coldStart(load, settings);
    return { times, outcomes: await play(await load(), settings) };
  },
  worker: (settings, entry) =>
    new Promise((resolve, reject) => {
      const worker = new Worker('/programs/worker.mjs', { type: 'module' });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(`the worker failed: ${message}`));
      worker.postMessage({ entry, settings });
    }),
  async serviceWorker(settings) {
    const registration = await navigator.serviceWorker.register('/programs/service-worker.mjs', { type: 'module' });
    const worker = registration.installing ?? registration.waiting ?? registration.active;
    await new Promise((resolve) => {
      const look = () => worker.state === 'activated' && resolve();
      worker.addEventListener('statechange', look);
      look();
    });
    const { port1, port2 } = new MessageChannel();
    const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
    worker.postMessage({ settings }, [port2]);
    return answer;
  },
};

/** Plays in one of the places; called by the test. */
globalThis.playIn = (place, settings, entry = '/sdk/page/index.js') => PLACES[place](settings, entry);

/** Loads the package and connects; says what became of it. */
globalThis.tryConnect = async (settings, entry = '/sdk/dist/index.js') => {
  try {
    const sdk = await import(entry);
    const [first] = await play(sdk, settings, 1);
    return first.error ?? 'connected';
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};
