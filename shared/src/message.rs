//! Messages: data encrypted by clients, in the AWS Encryption SDK's message format version 2, so that
//! its users in any language can read what we write, and we what they write. Only the two suites with
//! key commitment are spoken: 0x0478, and 0x0578, which adds an ECDSA P-384 signature.
//!
//! ```text
//! message = header ‖ header tag ‖ frame 1 ‖ … ‖ final frame ‖ footer (0x0578 only)
//! ```
//! Bytes in, bytes out: nothing here reads or writes, and memory is bounded by one frame, however long
//! the message. To encrypt: [`MessageSigner`] (if signed), ask for a data key, [`Encryptor`]. To
//! decrypt: [`HeaderParser`], have one of the header's [`EncryptedDataKey`]s opened, [`Header::open`],
//! [`BodyDecryptor`]. For small messages: [`encrypt`] and [`decrypt`]. Where the cipher is elsewhere, as
//! WebCrypto is: [`NewMessage::begin_frames`] and [`Header::open_frames`], and follow their plans. Where the
//! signatures are elsewhere: [`NewMessage::signed_elsewhere`] and [`Header::dangerous_open_unverified`].
//!
//! ```
//! # use keyhaven_shared::{context::EncryptionContext, ids::{KeyId, Version}, secret::DataKey};
//! # use keyhaven_shared::message::{self, *};
//! # fn story(rng: &mut impl rand_core::CryptoRng) -> Result<(), MessageError> {
//! let signer = MessageSigner::make(rng);
//! let context = signer.add_to(&EncryptionContext::default())?;
//! // The key server makes a data key for this context, and gives it back encrypted, too.
//! let (data_key, ciphertext) = (DataKey::make(rng), vec![1, 2, 3]);
//! let keys = [EncryptedDataKey::keyhaven(KeyId::from_random([7; 16]), Version::FIRST, ciphertext)];
//! let new = NewMessage::new(&context, &keys).signed_by(signer);
//! let sealed = message::encrypt(new, &data_key, b"hello", rng)?;
//!
//! let opened = message::decrypt(&sealed, |header| {
//!     // Here the key server is asked to open one of `header.encrypted_data_keys()`.
//!     assert_eq!(header.context(), &context);
//!     Ok::<_, MessageError>(data_key)
//! })?;
//! assert_eq!(opened.as_slice(), b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! The bytes are drawn in `docs/formats.md`; the specification is `awslabs/aws-encryption-sdk-specification`.

mod error;

mod edk;
mod signature;
#[cfg_attr(not(feature = "p384"), path = "message/no_signer.rs")]
mod signer;
mod suite;

mod header;
mod header_parser;

mod cipher;
mod frame;
mod plan;

mod decryptor;
mod encryptor;
mod one_shot;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod forgeries;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod pieces;

pub use self::{
    cipher::{FrameCipher, RustCipher},
    decryptor::BodyDecryptor,
    edk::{EncryptedDataKey, KEYHAVEN_PROVIDER},
    encryptor::{Encryptor, NewMessage},
    error::MessageError,
    frame::{DEFAULT_FRAME_LENGTH, Frame, MAX_FRAME_LENGTH},
    header::{About, Content, Header, MAX_ENCRYPTED_DATA_KEYS, MAX_HEADER_BYTES},
    header_parser::HeaderParser,
    one_shot::{decrypt, encrypt},
    plan::{Layout, Next, ReadPlan, WritePlan},
    signature::signature_footer,
    signer::MessageSigner,
    suite::Suite,
};
