//! The details of failures: each has a stable word and a text that says what to do.

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident: $code:literal, $text:literal;)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
            #[non_exhaustive]
            pub enum $name { $($(#[$variant_doc])* #[error($text)] $variant,)+ }

            impl $name {
                /// The stable word.
                pub(super) const fn code(self) -> &'static str {
                    match self { $(Self::$variant => $code,)+ }
                }
            }
        )+
    };
}

faults! {
    /// What is not genuine.
    IntegrityFault {
        /// An answer is not what the server documents, or is too long.
        Answer: "answer_malformed", "the answer is not what the server documents";
        /// A delivery is not made by this deployment for this request and device. Which, is not told.
        Delivery: "delivery_refused", "the answer was not made by this server for this request and device";
        /// The data key was delivered for another use.
        Usage: "usage_not_granted", "the data key was delivered for another use";
        /// The server's issuer key is not the one that is pinned.
        Issuer: "issuer_changed", "the server's issuer key is not the one that this application pins";
        /// The bytes are no message.
        Malformed: "message_malformed", "the data is not a well-formed message";
        /// The message asks a reader to hold too much.
        OverLimit: "message_over_limit", "the message is beyond the limits of this reader";
        /// The message was changed, or its data key is another's.
        Refused: "message_refused", "the message was changed, or belongs to another data key";
        /// Bytes follow the end of the message.
        TrailingData: "message_trailing_data", "more bytes follow the end of the message";
        /// The message's context lacks a pair that the application requires.
        Context: "context_mismatch", "the message is about something else than was asked for";
    }

    /// Why a lease ended.
    LeaseEnd {
        /// Its time was over.
        Expired: "lease_expired", "the lease of the data key has ended: ask again";
        /// The key was disabled or destroyed.
        KeyStopped: "key_stopped", "the key may no longer be used, so its data keys were dropped";
        /// This device was revoked.
        DeviceRevoked: "device_revoked", "this device was revoked, so its data keys were dropped";
        /// A policy changed.
        PolicyChanged: "policy_changed", "policies changed, so data keys must be asked for anew";
        /// Events of the server were lost on the way: they may have ended any lease.
        EventsMissed: "events_missed", "word from the server was lost on the way, so data keys must be asked for anew";
        /// The client was closed.
        Closed: "closed", "the client was closed";
    }

    /// What cannot be done.
    UnsupportedFault {
        /// The operating system gives no randomness.
        Randomness: "randomness_failed", "the system gives no randomness: nothing can be encrypted here";
        /// A message without key commitment.
        NotCommitting: "message_not_committing", "the message was made by an older suite without key commitment";
        /// A message of an unknown version or suite.
        Suite: "message_unsupported", "the message was made by an unknown version or suite";
        /// A signed message as a stream.
        SignedStream: "message_signed_stream", "a signed message must be decrypted as a whole: use `decrypt`";
        /// A message that Keyhaven has no part in.
        Foreign: "message_foreign", "the message has no data key of Keyhaven";
    }

    /// What argument cannot be: a bug in the calling program, or in its settings.
    ArgumentFault {
        /// The server's address.
        Address: "invalid_argument", "the address is https://, a host, and perhaps a path; http:// only to this machine itself";
        /// An API token, ticket or enrolment token.
        Token: "invalid_argument", "a token or ticket is one word, as the server gave it";
        /// A key's name.
        KeyName: "invalid_argument", "a key is named by its id, its alias, or keyring:alias";
        /// The lease or the limits.
        Limits: "invalid_argument", "a data key is held for 1 second to 1 hour, goes on offline for at most 7 days, and serves at least one message";
        /// The bytes of a stored device.
        StoredDevice: "invalid_argument", "the stored device is none, or another version's: remove it to enrol anew";
        /// A certificate.
        Certificate: "invalid_argument", "a certificate authority is given as PEM";
        /// The settings in the environment.
        Environment: "invalid_argument", "KEYHAVEN_ADDR and KEYHAVEN_TOKEN must be set; KEYHAVEN_CACERT may name a readable file";
        /// A piece of work that was finished.
        Finished: "already_finished", "the message was finished already, or gave an error before";
        /// The encryption context: a key twice.
        ContextDuplicateKey: "context_duplicate_key", "a key appears twice in the encryption context";
        /// The encryption context: an empty key.
        ContextEmptyKey: "context_empty_key", "a key in the encryption context is empty";
        /// The encryption context: too much of it.
        ContextTooLarge: "context_too_large", "the encryption context is larger than 8192 bytes";
        /// The encryption context: a key that is the message format's own.
        ContextReservedKey: "context_reserved_key", "keys of an encryption context may not begin with `aws-crypto-`";
    }
}
