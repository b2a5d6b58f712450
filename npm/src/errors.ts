/** What can go wrong, by who must act. Branch on the class, or on `code`, which is stable. */

/** Any failure of this package. */
export class KeyhavenError extends Error {
  /** The class, written out: a bundler that shortens names does not change it. */
  override name = 'KeyhavenError';
  /** A stable word, such as `message_truncated`; the server's own code for a {@link RefusedError}. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The server refused. `code` is its problem document's: `access_denied`, `key_disabled`, `ticket_spent` … */
export class RefusedError extends KeyhavenError {
  /** The class, written out: a bundler that shortens names does not change it. */
  override name = 'RefusedError';
  /** The HTTP status. */
  readonly status: number;
  /** Names the request in the server's log and audit log; empty if the answer did not come from there. */
  readonly requestId: string;

  constructor(code: string, message: string, status: number, requestId: string) {
    super(code, message);
    this.status = status;
    this.requestId = requestId;
  }
}

/** A message, a delivery or an answer is not genuine. Nothing of it was given out beyond what was verified. */
export class IntegrityError extends KeyhavenError {
  /** The class, written out: a bundler that shortens names does not change it. */
  override name = 'IntegrityError';
}

/** A message ends before its end: what was given out of it is only its beginning. */
export class TruncatedError extends KeyhavenError {
  /** The class, written out: a bundler that shortens names does not change it. */
  override name = 'TruncatedError';
}

/** The right to use a data key ended: its key was stopped, this device was revoked, or time ran out. */
export class LeaseEndedError extends KeyhavenError {
  /** The class, written out: a bundler that shortens names does not change it. */
  override name = 'LeaseEndedError';
  /** The key whose data key it was. */
  readonly keyId: string;

  constructor(code: LeaseEnd, keyId: string) {
    super(code, LEASE_ENDS[code]);
    this.keyId = keyId;
  }
}

/** The server could not be reached, or its answer did not arrive. Trying again may help. */
export class NetworkError extends KeyhavenError {
  /** The class, written out: a bundler that shortens names does not change it. */
  override name = 'NetworkError';
}

/** This platform, or this version of the package, cannot do it. */
export class UnsupportedError extends KeyhavenError {
  /** The class, written out: a bundler that shortens names does not change it. */
  override name = 'UnsupportedError';
}

/** Why a lease ended. */
export type LeaseEnd = keyof typeof LEASE_ENDS;

const LEASE_ENDS = {
  lease_expired: 'the lease of the data key has ended: ask again with a new ticket',
  key_stopped: 'the key may no longer be used, so its data keys were dropped',
  device_revoked: 'this device was revoked, so its data keys were dropped',
  policy_changed: 'policies changed, so data keys must be asked for anew',
  events_missed: 'word from the server was lost on the way, so data keys must be asked for anew',
  closed: 'the client was closed',
} as const;

/** The words with which the Wasm module refuses (`sdk-wasm/src/wasm/error.rs`). */
const FAULTS: Record<string, readonly [typeof KeyhavenError, string]> = {
  randomness_failed: [UnsupportedError, 'the platform gives no randomness: nothing can be encrypted here'],
  invalid_argument: [KeyhavenError, 'an argument has the wrong length or form'],
  context_duplicate_key: [KeyhavenError, 'a key appears twice in the encryption context'],
  context_empty_key: [KeyhavenError, 'a key in the encryption context is empty'],
  context_too_large: [KeyhavenError, 'the encryption context is larger than 8192 bytes'],
  context_reserved_key: [KeyhavenError, 'keys of an encryption context may not begin with `aws-crypto-`'],
  message_malformed: [IntegrityError, 'the data is not a well-formed message'],
  message_not_committing: [UnsupportedError, 'the message was made by an older suite without key commitment'],
  message_unsupported: [UnsupportedError, 'the message was made by an unknown version or suite'],
  message_over_limit: [IntegrityError, 'the message is beyond the limits of this reader'],
  message_refused: [IntegrityError, 'the message was changed, or belongs to another data key'],
  message_truncated: [TruncatedError, 'the message is cut off before its end'],
  message_trailing_data: [IntegrityError, 'more bytes follow the end of the message'],
  message_signed_stream: [UnsupportedError, 'a signed message must be decrypted as a whole: use `decrypt`'],
  message_foreign: [UnsupportedError, 'the message has no data key of Keyhaven'],
  delivery_refused: [IntegrityError, 'the answer was not made by this server for this request and device'],
  usage_not_granted: [IntegrityError, 'the data key was delivered for another use'],
  already_finished: [KeyhavenError, 'the message was finished already'],
};

/** Turns what the Wasm module threw into an error of ours. */
export function fromWasm(thrown: unknown): unknown {
  if (typeof thrown !== 'string') return thrown;
  const [kind, message] = FAULTS[thrown] ?? [KeyhavenError, 'the Wasm module failed'];
  return new kind(thrown, message);
}

/** Runs a call into the Wasm module; its refusals come out as errors of ours. */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (thrown) {
    throw fromWasm(thrown);
  }
}
