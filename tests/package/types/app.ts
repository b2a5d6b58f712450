// An application in TypeScript: compiled against the package's types, strictly; never run.
import {
  type ConnectOptions,
  type EncryptOptions,
  IntegrityError,
  type Keyhaven,
  type LeaseEnd,
  LeaseEndedError,
  RefusedError,
  connect,
  inspect,
} from '@keyhaven/sdk';
import { DecryptedFiles, type ServingFailure } from '@keyhaven/sdk/service-worker';
import { connect as connectInline } from '@keyhaven/sdk/inline';

declare function post(path: string, body?: object): Promise<{ ticket: string; token: string }>;
declare function hide(keyId: string, reason: LeaseEnd): void;

const options: ConnectOptions = {
  url: 'https://keys.example',
  ticket: async (want) => (await post('/ticket', want)).ticket,
  enrolment: async () => (await post('/enrolment')).token,
};

/** Everything the README does. */
export async function use(data: Uint8Array, file: Blob, signal: AbortSignal): Promise<Uint8Array> {
  await using keyhaven: Keyhaven = await connect(options);
  const how: EncryptOptions = { key: 'photos', context: { album: 'summer' }, signal };
  keyhaven.leases.addEventListener('leaseended', ({ keyId, reason }) => hide(keyId, reason), { once: true });
  const message = await keyhaven.encrypt(data, how);
  const version: number | undefined = (await inspect(message))?.keyVersion;
  const stream: ReadableStream<Uint8Array> = file.stream().pipeThrough(keyhaven.encryptStream(how));
  await stream.cancel(version);
  try {
    return await keyhaven.decrypt(message, { context: how.context ?? {} });
  } catch (error) {
    if (error instanceof RefusedError) throw new Error(`${error.status} ${error.code}`);
    if (error instanceof IntegrityError || error instanceof LeaseEndedError) return new Uint8Array();
    throw error;
  }
}

export const same: typeof connect = connectInline;

// @ts-expect-error: a key must be named.
export const nameless: EncryptOptions = { context: {} };
// @ts-expect-error: a context holds texts.
export const numbered: EncryptOptions = { key: 'photos', context: { album: 7 } };

/** What a Service Worker does. */
export const files = new DecryptedFiles({
  client: () => connect(options),
  find: (request) => (request.url.includes('/media/') ? { url: '/files/1', type: 'video/mp4', context: { file: '1' } } : undefined),
  onFailure: ({ code, url }: ServingFailure) => hide(`${code} ${url}`, 'closed'),
});
