//! `keyhaven encrypt`, `decrypt`, `re-encrypt` and `data-key`.
//!
//! Plaintext comes from standard input and goes to standard output, never through an argument or a
//! file of ours. The buffer that it ends in is wiped; copies that reading it, a terminal or a pipe
//! leave behind are not.

use std::io::Read;

use base64ct::{Base64, Encoding};
use clap::{Args, Subcommand};
use keyhaven_shared::api::{
    bytes::{Base64Bytes, PlaintextBytes},
    crypto::{
        Decrypt, Decrypted, Encrypt, Encrypted, GenerateDataKey, GeneratedDataKey, ReEncrypt,
    },
};
use zeroize::Zeroizing;

use super::{
    client::{Client, segment},
    error::CliError,
    keys::{map, pair},
    output::Output,
};

// Messages beyond the server's limit are for the client library, which asks for one data key and
// encrypts on the spot.
#[derive(Subcommand)]
pub(super) enum CryptoCommand {
    /// Encrypt standard input (at most 64 KiB): echo hello | keyhaven encrypt photos --context user=7
    Encrypt(CryptoArgs),
    /// Decrypt what `encrypt` printed: keyhaven decrypt photos --context user=7 < secret.txt
    Decrypt(CryptoArgs),
    /// Encrypt a ciphertext anew, under the newest version or another key, without showing the plaintext.
    ReEncrypt {
        #[command(flatten)]
        from: CryptoArgs,
        /// The key to encrypt under; the same when left out.
        #[arg(long)]
        to_key: Option<String>,
    },
    /// Make a data key for a backend: its plaintext, and the same encrypted, to keep beside the data.
    DataKey(CryptoArgs),
}

// The context is authenticated, not encrypted, and the audit log has its hash: no secret belongs in
// it.
#[derive(Args)]
pub(super) struct CryptoArgs {
    /// Alias, keyring:alias, or id.
    key: String,
    /// What the data is about, as name=value; may be repeated. The same is needed to decrypt.
    #[arg(long, value_parser = pair)]
    context: Vec<(String, String)>,
}

/// Runs one of them. Only `decrypt` and `data-key` print a secret, since that is what was asked
/// for.
pub(super) fn run(
    command: CryptoCommand,
    client: &Client,
    output: &Output,
) -> Result<(), CliError> {
    match command {
        CryptoCommand::Encrypt(CryptoArgs { key, context }) => {
            let plaintext = PlaintextBytes::new(std::mem::take(&mut *input()?));
            let encrypt = Encrypt { plaintext, context: map(context)? };
            let encrypted = client.post(&format!("/keys/{}/encrypt", segment(&key)), &encrypt)?;
            output.show(&encrypted, ciphertext)
        }
        CryptoCommand::Decrypt(CryptoArgs { key, context }) => {
            let decrypt = Decrypt { ciphertext: encoded()?, context: map(context)? };
            let decrypted: Decrypted =
                client.post(&format!("/keys/{}/decrypt", segment(&key)), &decrypt)?;
            // EXPOSE: the message is what was asked for.
            // Raw, with `--json` too: a message is bytes, and a pipe gets those that were
            // encrypted.
            output.bytes(decrypted.plaintext.expose_secret())
        }
        CryptoCommand::ReEncrypt { from: CryptoArgs { key, context }, to_key } => {
            let (ciphertext_bytes, context) = (encoded()?, map(context)?);
            let anew =
                ReEncrypt { ciphertext: ciphertext_bytes, context, to_key, to_context: None };
            let encrypted = client.post(&format!("/keys/{}/re-encrypt", segment(&key)), &anew)?;
            output.show(&encrypted, ciphertext)
        }
        CryptoCommand::DataKey(CryptoArgs { key, context }) => {
            let generate = GenerateDataKey { context: map(context)? };
            let path = format!("/keys/{}/generate-data-key", segment(&key));
            let generated: GeneratedDataKey = client.post(&path, &generate)?;
            output.show(&generated, |generated| {
                // EXPOSE: the data key is what was asked for.
                let plaintext = Base64::encode_string(generated.plaintext.expose_secret());
                let ciphertext = Base64::encode_string(&generated.ciphertext.0);
                format!("plaintext   {plaintext}\nciphertext  {ciphertext}\n")
            })
        }
    }
}

/// A ciphertext on a line, in base64 (RFC 4648 §4).
fn ciphertext(encrypted: &Encrypted) -> String {
    Base64::encode_string(&encrypted.ciphertext.0)
}

/// Standard input; more than the server takes is its to refuse.
fn input() -> Result<Zeroizing<Vec<u8>>, CliError> {
    let mut bytes = Zeroizing::new(Vec::new());
    // Reading stops well above the limit, so an endless pipe ends in a refusal and not in full
    // memory.
    std::io::stdin().lock().take(1024 * 1024).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A ciphertext from standard input, as `encrypt` prints it.
fn encoded() -> Result<Base64Bytes, CliError> {
    let bytes = input()?;
    // A line feed at the end, as `echo` and editors leave it, is no part of the ciphertext.
    let text = std::str::from_utf8(&bytes).ok().map(str::trim);
    let decoded = text.and_then(|text| Base64::decode_vec(text).ok());
    decoded.map(Base64Bytes).ok_or_else(|| {
        CliError::new("standard input is no ciphertext")
            .with_next("give it what `keyhaven encrypt` printed")
    })
}
