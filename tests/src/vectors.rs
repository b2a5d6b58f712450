//! The AWS Encryption SDK's published decrypt test vectors, read by Keyhaven's message format.
//!
//! Two kinds are understood, as their authors publish them:
//! - a folder with a `manifest.json` of type `awses-decrypt`, from `awslabs/aws-encryption-sdk-test-vectors`;
//!   data keys are opened by its raw AES keys, since KMS and RSA keys are not the format's;
//! - a file of message format v2 test vectors, from `aws/aws-encryption-sdk-python`, with the data keys in it.

mod manifest;
pub mod raw_aes;

use std::{fmt, fs, io, path::Path};

use base64ct::{Base64, Encoding};
use keyhaven_shared::{
    message::{self, BodyDecryptor, Header, HeaderParser, MessageError},
    secret::DataKey,
};
use serde::Deserialize;

/// What became of all vectors.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Gave the plaintext that they are to give.
    pub decrypted: usize,
    /// Were refused, as they are to be.
    pub refused: usize,
    /// Are of an older suite or format, without key commitment: refused by design, whatever is in them.
    pub not_committing: usize,
    /// Have no data key that a raw AES key of theirs opens: their keys are in KMS, or RSA.
    pub other_keys: usize,
    /// Did neither what they are to do nor any of this: their names, and what happened.
    pub failed: Vec<String>,
}

/// Why vectors could not be run.
#[derive(Debug)]
pub enum VectorError {
    /// A file could not be read.
    File(String, io::Error),
    /// A file is not what these vectors have.
    Malformed(String),
}

/// Runs the vectors of a folder or file.
///
/// # Errors
/// [`VectorError`] for a file that is missing, or is not of a published layout.
pub fn run(path: &Path) -> Result<Totals, VectorError> {
    if path.is_dir() { manifest::run(path) } else { messages(path) }
}

/// What a vector is to give: its plaintext, or a refusal.
enum Expected {
    Plaintext(Vec<u8>),
    Refusal,
}

/// Why a vector gave no plaintext.
enum Fault {
    Message(MessageError),
    OtherKeys,
}

impl From<MessageError> for Fault {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}

impl Totals {
    fn count(&mut self, name: &str, expected: &Expected, outcome: Result<Vec<u8>, Fault>) {
        match (expected, outcome) {
            (_, Err(Fault::OtherKeys)) => self.other_keys += 1,
            (_, Err(Fault::Message(MessageError::NotCommitting))) => self.not_committing += 1,
            (Expected::Plaintext(wanted), Ok(plaintext)) if *wanted == plaintext => {
                self.decrypted += 1;
            }
            (Expected::Refusal, Err(Fault::Message(_))) => self.refused += 1,
            (_, Ok(_)) => self.failed.push(format!("{name}: decrypted to something else")),
            (_, Err(Fault::Message(error))) => self.failed.push(format!("{name}: {error}")),
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.failed {
            writeln!(f, "FAILED {name}")?;
        }
        write!(
            f,
            "{} decrypted, {} refused as they should be, {} without key commitment, {} with other \
             keys, {} failed",
            self.decrypted,
            self.refused,
            self.not_committing,
            self.other_keys,
            self.failed.len()
        )
    }
}

impl fmt::Display for VectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name, error) => write!(f, "{name}: {error}"),
            Self::Malformed(what) => write!(f, "{what} is not as published vectors have it"),
        }
    }
}

impl std::error::Error for VectorError {}

/// Decrypts as a stream, which gives nothing of a signed message.
fn streamed(
    message: &[u8],
    data_key: impl FnOnce(&Header) -> Result<DataKey, Fault>,
) -> Result<Vec<u8>, Fault> {
    let (header, body) = HeaderParser::new().push(message)?.ok_or(MessageError::Truncated)?;
    let key = data_key(&header)?;
    let mut decryptor: BodyDecryptor = header.open(&key)?;
    let mut plaintext = Vec::new();
    decryptor.push(body, &mut plaintext)?;
    decryptor.finish()?;
    Ok(plaintext)
}

/// Decrypts as a whole.
fn whole(
    message: &[u8],
    data_key: impl FnOnce(&Header) -> Result<DataKey, Fault>,
) -> Result<Vec<u8>, Fault> {
    message::decrypt(message, data_key).map(|plaintext| plaintext.to_vec())
}

#[derive(Deserialize)]
struct Messages {
    tests: Vec<MessageCase>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MessageCase {
    ciphertext: String,
    comment: String,
    decrypted_dek: String,
    #[serde(default)]
    plaintext_frames: Vec<String>,
    status: bool,
}

/// Message format v2 test vectors.
fn messages(path: &Path) -> Result<Totals, VectorError> {
    let cases: Messages = json(path)?;
    let mut totals = Totals::default();
    for case in cases.tests {
        let key = base64(&case.decrypted_dek, &case.comment)?;
        let message = base64(&case.ciphertext, &case.comment)?;
        let expected = match case.status {
            true => Expected::Plaintext(case.plaintext_frames.concat().into_bytes()),
            false => Expected::Refusal,
        };
        let outcome = whole(&message, |_| DataKey::from_slice(&key).ok_or(Fault::OtherKeys));
        totals.count(&case.comment, &expected, outcome);
    }
    Ok(totals)
}

fn json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, VectorError> {
    let name = path.display().to_string();
    serde_json::from_slice(&read(path)?)
        .map_err(|error| VectorError::Malformed(format!("{name} ({error})")))
}

fn read(path: &Path) -> Result<Vec<u8>, VectorError> {
    fs::read(path).map_err(|error| VectorError::File(path.display().to_string(), error))
}

fn base64(text: &str, of: &str) -> Result<Vec<u8>, VectorError> {
    Base64::decode_vec(text).map_err(|_| VectorError::Malformed(format!("the base64 of {of}")))
}
