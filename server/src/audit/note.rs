//! Signed notes (C2SP signed-note) with Ed25519.
//!
//! ```text
//! text, one or more lines
//! (an empty line)
//! — name base64(key id ‖ signature)
//! ```
//!
//! The key id is the start of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key); 0x01 stands for Ed25519.
//!
//! A note may carry several signatures, of different keys: those of a witness can be added to ours
//! without changing it.

use std::{fmt, str::FromStr};

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// The algorithm's byte, in the key id and before the public key.
const ED25519: u8 = 0x01;

/// The text is no verifier key: `name+key id+base64(0x01 ‖ public key)`, where the name has no spaces or
/// pluses, and the key id is that of this name and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a verifier key: expected `name+key id+key` as in log.vkey")]
pub struct KeyError;

/// The public half of a key that signs notes, with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    /// A hint that finds the line with our signature. It is short and proves nothing.
    id: [u8; 4],
    key: VerifyingKey,
}

impl VerifierKey {
    /// A key by its name and its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] if the name is empty or has spaces or pluses, or the bytes are no Ed25519 key.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, KeyError> {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
            return Err(KeyError);
        }
        let key = VerifyingKey::from_bytes(&public).map_err(|_| KeyError)?;
        let hash = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', ED25519])
            .chain_update(public)
            .finalize();
        let id = hash.first_chunk().copied().ok_or(KeyError)?;
        Ok(Self { name: name.to_owned(), id, key })
    }

    /// The key's name: the log's origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The note of this text and its signature.
    /// It is not checked here that the signature is one.
    pub(super) fn note(&self, text: &str, signature: &[u8; 64]) -> String {
        let signed = Base64::encode_string(&[self.id.as_slice(), signature].concat());
        format!("{text}\n\u{2014} {} {signed}\n", self.name)
    }

    /// The text of a note that this key signed; `None` if it did not, or it is no note. Signatures of
    /// other keys are passed over, as the standard says.
    pub(super) fn open<'a>(&self, note: &'a str) -> Option<&'a str> {
        // The last empty line parts them: a text may have empty lines of its own.
        let (text, signatures) = note.split_at_checked(note.rfind("\n\n")?.checked_add(1)?)?;
        let signatures = signatures.strip_prefix('\n')?.strip_suffix('\n')?;
        let signed = signatures.split('\n').any(|line| self.signed(text, line).unwrap_or(false));
        signed.then_some(text)
    }

    /// Whether this line is our signature of the text; `None` if it is not a line of ours at all.
    fn signed(&self, text: &str, line: &str) -> Option<bool> {
        let signed = line.strip_prefix("\u{2014} ")?.strip_prefix(&self.name)?.strip_prefix(' ')?;
        let signed = Base64::decode_vec(signed).ok()?;
        let signature = Signature::from_slice(signed.strip_prefix(&self.id)?).ok()?;
        // Strictly: keys and points of small order, under which one signature can hold for several
        // texts, are refused.
        Some(self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [[ED25519].as_slice(), self.key.as_bytes()].concat();
        let id = u32::from_be_bytes(self.id);
        // As the Go checksum database and the tools around it write it.
        write!(f, "{}+{id:08x}+{}", self.name, Base64::encode_string(&key))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, rest) = text.split_once('+').ok_or(KeyError)?;
        let (_, key) = rest.split_once('+').ok_or(KeyError)?;
        let key = Base64::decode_vec(key).map_err(|_| KeyError)?;
        let public = key.strip_prefix(&[ED25519]).ok_or(KeyError)?;
        let key = Self::new(name, public.try_into().map_err(|_| KeyError)?)?;
        // The id is not read but computed; so the text has this one spelling.
        if key.to_string() == text { Ok(key) } else { Err(KeyError) }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use signed_note::{Note, StandardVerifier, Verifier, VerifierList};

    use super::*;

    /// The example of the Go module checksum database's note package.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn a_note_of_the_go_package_opens() {
        let key: VerifierKey = VKEY.parse().unwrap();
        assert_eq!(key.to_string(), VKEY);
        let text = key.open(NOTE).unwrap();
        assert!(text.ends_with("problem is.\n"), "{text}");
    }

    #[test]
    fn another_implementation_opens_ours() {
        let signing = SigningKey::from_bytes(&[7; 32]);
        let key = VerifierKey::new("a.example/log", signing.verifying_key().to_bytes()).unwrap();
        let text = "a.example/log\n0\nroot\n";
        let note = key.note(text, &signing.sign(text.as_bytes()).to_bytes());
        assert_eq!(key.open(&note), Some(text));
        let verifier = StandardVerifier::new(&key.to_string()).unwrap();
        assert_eq!(verifier.name(), "a.example/log");
        let parsed = Note::from_bytes(note.as_bytes()).unwrap();
        let list = VerifierList::new(vec![Box::new(verifier)]);
        assert_eq!(parsed.verify(&list).unwrap().0.len(), 1);
        assert_eq!(parsed.text(), text.as_bytes());
    }

    #[test]
    fn signatures_of_others_are_passed_over_and_do_not_count() {
        let key: VerifierKey = VKEY.parse().unwrap();
        let other = "\u{2014} other AAAAAAAA\n";
        assert!(key.open(&format!("{NOTE}{other}")).is_some());
        let other = VerifierKey::new("PeterNeumann", *key.key.as_bytes()).unwrap();
        assert!(other.open(NOTE).is_some());
        let other = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
        assert!(VerifierKey::new("PeterNeumann", other).unwrap().open(NOTE).is_none());
    }

    #[test]
    fn every_flipped_byte_of_a_note_or_key_is_found() {
        let key: VerifierKey = VKEY.parse().unwrap();
        for at in 0..NOTE.len() {
            for bit in 0..8 {
                let mut note = NOTE.as_bytes().to_vec();
                note[at] ^= 1 << bit;
                let opens = str::from_utf8(&note).is_ok_and(|note| key.open(note).is_some());
                assert!(!opens, "bit {bit} of byte {at}");
            }
        }
        for at in 0..VKEY.len() {
            let mut vkey = VKEY.as_bytes().to_vec();
            vkey[at] ^= 1;
            assert!(str::from_utf8(&vkey).is_ok_and(|key| key.parse::<VerifierKey>().is_err()));
        }
    }
}
