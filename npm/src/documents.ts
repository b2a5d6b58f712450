/** The native API's documents, as far as a client needs them. What comes in is checked by hand. */

import { type Bytes, fromBase64 } from './encoding.js';
import { IntegrityError } from './errors.js';

/** An answer whose fields are not believed yet. */
export class Answer {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(document: unknown) {
    if (typeof document !== 'object' || document === null || Array.isArray(document)) throw malformed();
    this.#fields = document as Record<string, unknown>;
  }

  /** A field that is a string. */
  text(name: string): string {
    const value = this.#value(name);
    if (typeof value !== 'string') throw malformed();
    return value;
  }

  /** A field that is a whole number from 0. */
  number(name: string): number {
    const value = this.#value(name);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed();
    return value;
  }

  /** A field that is bytes in base64. */
  bytes(name: string): Bytes {
    return fromBase64(this.text(name));
  }

  #value(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
  }
}

function malformed(): IntegrityError {
  return new IntegrityError('answer_malformed', 'the answer is not what the server documents');
}
