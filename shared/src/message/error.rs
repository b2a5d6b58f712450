//! Why a message could not be read or written.

/// Why a message could not be read or written. All that a wrong key or a changed byte can cause after
/// the header was parsed is one variant, so that nobody learns how far a forged message got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The bytes do not begin as a message of this format, or contradict it.
    #[error("not a well-formed message")]
    Malformed,
    /// Format version 1, or a suite without key commitment.
    #[error(
        "the message was made without key commitment (an older AWS Encryption SDK format or suite); \
         decrypt it where it was made and encrypt it again with a committing suite"
    )]
    NotCommitting,
    /// A format version or suite that this build does not know.
    #[error("the message's format version or suite is unknown")]
    UnsupportedSuite,
    /// The message asks a reader for more than it is willing to hold, or would do so once written.
    #[error("the message's header, frame length or number of frames is beyond the limits")]
    OverLimit,
    /// The message was changed, or the data key is another message's.
    #[error("the message was changed, or belongs to another data key")]
    Refused,
    /// The bytes end before the message does.
    #[error("the message is cut off before its end")]
    Truncated,
    /// Bytes follow the end of the message.
    #[error("more bytes follow the end of the message")]
    TrailingData,
    /// A signed message was to be decrypted as a stream, which gives plaintext out before its signature
    /// is verified.
    #[error(
        "the message is signed: decrypt it as a whole, or choose to stream it before its signature is \
         verified"
    )]
    SignedStream,
    /// A new message's context and signer do not fit together: the context holds a signature key that
    /// is not the signer's, or lacks the signer's.
    #[error("the encryption context does not hold the signature key of this message's signer")]
    SignerMismatch,
}
