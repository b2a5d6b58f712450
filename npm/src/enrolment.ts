/** How a device becomes known to a server, once. */

import { ServerClock } from './clock.js';
import { Device, makeDeviceKeys } from './device.js';
import { toBase64 } from './encoding.js';
import { IntegrityError, UnsupportedError } from './errors.js';
import { own } from './platform.js';
import { Reachability } from './reachability.js';
import { FLOOR } from './release.js';
import type { SealingChoice } from './sealing.js';
import type { DeviceStorage, Enrolment } from './storage.js';
import { bearer } from './tickets.js';
import { Transport, baseOf } from './transport.js';
import type { Wasm } from './wasm.js';

/** What enrolment needs to know. */
export interface EnrolmentOptions {
  /** The server's address. */
  readonly url: string;
  /** Sends requests. */
  readonly fetch: typeof fetch;
  /** Keeps the device. */
  readonly storage: DeviceStorage;
  /** Asks the application's backend for an enrolment token. */
  readonly enrolment: () => Promise<string>;
  /** The issuer key to accept, if the application knows it. */
  readonly issuer?: string | undefined;
  /** A name for people. */
  readonly deviceName?: string | undefined;
  /** How data keys are sealed to a new device. */
  readonly sealing: SealingChoice;
}

/** An enrolled device. */
export interface Enrolled {
  readonly device: Device;
  readonly enrolment: Enrolment;
}

/** The device kept for this server, or a new one that enrols now. Two tabs that ask at once get the same. */
export function enrolledDevice(loading: Promise<Wasm>, options: EnrolmentOptions): Promise<Enrolled> {
  const name = baseOf(options.url);
  return exclusively(`keyhaven:${name}`, async () => {
    const kept = await options.storage.load(name);
    const known = kept && own(kept);
    if ((known?.floor ?? 0) > FLOOR) throw new UnsupportedError('release_too_old', 'a newer release took up this device, and older ones may not: load that one');
    const wasm = await loading;
    // The keys are kept before they enrol: should the answer be lost, no enrolled key is lost with it.
    const stored = own({ ...(known ?? (await makeDeviceKeys(wasm, options.sealing))), floor: FLOOR });
    if (!known) await options.storage.save(name, stored);
    const device = await Device.restore(wasm, stored);
    const enrolment = stored.enrolment ?? (await enrol(wasm, device, options));
    if (options.issuer !== undefined && options.issuer !== enrolment.issuer) {
      throw new IntegrityError('issuer_changed', 'the server\'s issuer key is not the one this application pins');
    }
    if (!stored.enrolment || known?.floor !== FLOOR) await options.storage.save(name, { ...stored, enrolment });
    return { device, enrolment };
  });
}

/** Forgets the device kept for this server, so that the next `connect` enrols a new one. */
export async function forgetDevice(url: string, storage: DeviceStorage): Promise<void> {
  await storage.remove(baseOf(url));
}

async function enrol(wasm: Wasm, device: Device, options: EnrolmentOptions): Promise<Enrolment> {
  const parts = { wasm, device, clock: new ServerClock(), reachability: new Reachability() };
  const transport = new Transport(options.url, options.fetch, parts);
  const origin = globalThis.location?.origin;
  const document = {
    keys: toBase64(device.publicKeys),
    ...(origin && origin !== 'null' && { origin }),
    ...(options.deviceName !== undefined && { name: options.deviceName }),
  };
  const authorization = `Keyhaven-Enrolment ${bearer(await options.enrolment())}`;
  const answer = await transport.post('/devices', document, { authorization });
  if (answer.text('device') !== device.id) {
    throw new IntegrityError('answer_malformed', 'the server enrolled another device than this one');
  }
  const issuer = toBase64(answer.bytes('issuer'));
  if (options.issuer === undefined) {
    console.warn(`keyhaven: trusting issuer ${issuer} at first use; pass it as \`issuer\` to \`connect\` to pin it`);
  }
  return { epoch: answer.number('enrolment_epoch'), deployment: answer.text('deployment'), issuer };
}

/** Runs one task of a name at a time, across tabs where the platform can. */
async function exclusively<T>(name: string, task: () => Promise<T>): Promise<T> {
  const locks = globalThis.navigator?.locks;
  if (!locks) return task();
  let begun = false;
  const once = () => {
    begun = true;
    return task();
  };
  try {
    return (await locks.request(name, once)) as T;
  } catch (error) {
    // A page that may store nothing is given no lock, either.
    if (begun) throw error;
    return task();
  }
}
