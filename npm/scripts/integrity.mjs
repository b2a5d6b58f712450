// A file's hash as Subresource Integrity writes it.
import { createHash } from 'node:crypto';

/** `sha384-…` of these bytes. */
export const integrityOf = (bytes) => `sha384-${createHash('sha384').update(bytes).digest('base64')}`;
