//! Encryption in the server.

use super::{
    StringMap,
    bytes::{Base64Bytes, PlaintextBytes},
    documents,
};

// Plaintext is in types of its own, which wipe themselves and cannot be printed by mistake.
documents! {
    /// Encrypts a small message.
    Encrypt {
        /// At most 64 KiB.
        plaintext: PlaintextBytes,
        /// What the message is about; the same is needed to decrypt.
        #[serde(default)]
        context: StringMap,
    }

    /// An encrypted message.
    Encrypted {
        /// Names its key and version itself.
        ciphertext: Base64Bytes,
        /// The key's id.
        key: String,
        /// The version that encrypted.
        version: u32,
    }

    /// Decrypts.
    Decrypt {
        /// As `encrypt` or `generate-data-key` gave it.
        ciphertext: Base64Bytes,
        /// As it was given for encryption.
        #[serde(default)]
        context: StringMap,
    }

    /// A decrypted message.
    Decrypted {
        /// The message.
        plaintext: PlaintextBytes,
        /// The key's id.
        key: String,
        /// The version that had encrypted.
        version: u32,
    }

    /// Encrypts anew under another key or context, without showing the plaintext.
    ReEncrypt {
        /// As `encrypt` gave it, under the key in the path.
        ciphertext: Base64Bytes,
        /// As it was given for encryption.
        #[serde(default)]
        context: StringMap,
        /// The key to encrypt under; the same key's newest version when left out.
        #[serde(default)]
        to_key: Option<String>,
        /// The new context; the old one when left out.
        #[serde(default)]
        to_context: Option<StringMap>,
    }

    /// Asks for a data key, for a backend.
    GenerateDataKey {
        /// What the data is about.
        #[serde(default)]
        context: StringMap,
    }

    /// A data key, for a backend.
    GeneratedDataKey {
        /// 32 bytes: use, then forget.
        plaintext: PlaintextBytes,
        /// Keep this beside the data; `decrypt` opens it.
        ciphertext: Base64Bytes,
        /// The key's id.
        key: String,
        /// The version that wraps the data key.
        version: u32,
    }
}
