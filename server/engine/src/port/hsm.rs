//! The hardware security module: holds root keys that never leave it, and two signing keys.
//!
//! It is asked rarely: to seal and open domain keys, to certify a node's key once in half a day,
//! and to sign the log's checkpoints. What an ordinary request needs is in memory.

use std::{fmt, future::Future, pin::Pin, str::FromStr};

use keyhaven_shared::{
    ids::{DeploymentId, KeyringId},
    secret::DomainKey,
};

use crate::permit::Permit;

/// The answer of an HSM call, later. Dropping it does not stop the call: what it does may still
/// happen.
pub type HsmFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, HsmError>> + Send + 'a>>;

/// What one key in the HSM is for. One role a key: a root only encrypts and decrypts domain keys, a
/// signing key only signs. A key that could both decrypt data and unwrap keys would let a caller
/// have a wrapped key decrypted as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HsmRole {
    /// AES-256, encrypt and decrypt only: the root of a keyring, one for each epoch.
    Root {
        /// The keyring.
        keyring: KeyringId,
        /// Counts the roots of this keyring, from 1.
        epoch: u32,
    },
    /// Ed25519, sign only: certifies the node's signing key.
    Issuer,
    /// Ed25519, sign only: signs the audit log's checkpoints.
    Log,
}

/// One key in the HSM, by its place. Its label in the token is the [`fmt::Display`] form. The label
/// finds the key, and proves nothing: see [`Hsm::check_key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HsmKey {
    /// The installation; several may share a token.
    pub deployment: DeploymentId,
    /// What the key is for.
    pub role: HsmRole,
}

impl fmt::Display for HsmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deployment = self.deployment;
        match self.role {
            HsmRole::Root { keyring, epoch } => {
                write!(f, "keyhaven/{deployment}/root/{keyring}/{epoch}")
            }
            HsmRole::Issuer => write!(f, "keyhaven/{deployment}/issuer"),
            HsmRole::Log => write!(f, "keyhaven/{deployment}/log"),
        }
    }
}

/// The text is not the label of a Keyhaven key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the label of a Keyhaven key")]
pub struct ParseHsmKeyError;

impl FromStr for HsmKey {
    type Err = ParseHsmKeyError;

    /// Reads the form that [`fmt::Display`] writes and no other, so that a key has one label.
    fn from_str(label: &str) -> Result<Self, ParseHsmKeyError> {
        // Written again and compared: leading zeros and signs would parse, and give one key two
        // labels.
        let key = parse_label(label).ok_or(ParseHsmKeyError)?;
        if key.to_string() == label { Ok(key) } else { Err(ParseHsmKeyError) }
    }
}

/// The parts of a label; spelling is not looked at yet.
fn parse_label(label: &str) -> Option<HsmKey> {
    let mut parts = label.strip_prefix("keyhaven/")?.split('/');
    let deployment = parts.next()?.parse().ok()?;
    let role = match parts.next()? {
        "root" => HsmRole::Root {
            keyring: parts.next()?.parse().ok()?,
            epoch: parts.next()?.parse().ok().filter(|epoch| *epoch > 0)?,
        },
        "issuer" => HsmRole::Issuer,
        "log" => HsmRole::Log,
        _ => return None,
    };
    parts.next().is_none().then_some(HsmKey { deployment, role })
}

/// Why the HSM did not do it. Texts are for the operator's log and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HsmError {
    /// Not reachable, out of sessions, or past its deadline. It may have happened all the same,
    /// which the caller must reckon with.
    #[error("the HSM did not answer: {0}")]
    Unavailable(String),
    /// There is no such key in the token. Of a root: it was destroyed, or this is another token.
    #[error("the HSM has no key `{0}`")]
    Missing(HsmKey),
    /// A key with that label exists but its attributes are not those it was made with.
    #[error("the HSM key `{key}` is not as it was made: {attribute}")]
    WrongAttribute {
        /// Which key.
        key: HsmKey,
        /// The PKCS#11 attribute and what is wrong with it.
        attribute: String,
    },
    /// The sealed bytes were not made by this root with this associated data, or were changed. One
    /// variant for all causes.
    #[error("the HSM could not open what was sealed by it")]
    NotOpened,
    /// The module refused for a reason of its own.
    #[error("the HSM refused: {0}")]
    Refused(String),
}

/// An HSM with the few operations that all of them have.
///
/// Durability: a key that was made outlasts a power cut, and one that was destroyed does not come
/// back.
///
/// Concurrency: any number of calls at once. Calls of a PKCS#11 module block and cannot be timed out:
/// an implementation runs them on threads of its own and answers [`HsmError::Unavailable`] at its
/// deadline. It logs in again by itself after a lost session. Nothing is retried that may have happened.
pub trait Hsm: Send + Sync {
    /// Makes a key for its role in the token: not extractable, sensitive, every usage flag set as
    /// the role says, all read back. Making a key that exists is [`HsmError::Refused`]. The value
    /// is generated in the token. When it fails, the key may be there: whoever made it destroys it.
    fn make_key<'a>(&'a self, permit: &'a Permit, key: HsmKey) -> HsmFuture<'a, ()>;

    /// Destroys a root. Destroying one that does not exist is no error, so that it can be repeated.
    /// Any other role is [`HsmError::Refused`]. What it sealed opens nowhere any more, unless the
    /// token itself was backed up.
    fn destroy_root<'a>(&'a self, permit: &'a Permit, key: HsmKey) -> HsmFuture<'a, ()>;

    /// Destroys all that is in the token of an installation that never came into being, of whatever role:
    /// nobody has pinned those keys. That there is nothing is no error.
    fn abandon<'a>(&'a self, permit: &'a Permit, deployment: DeploymentId) -> HsmFuture<'a, ()>;

    /// The keys of one installation that are in the token. In no order; what else is in the token
    /// is passed over.
    fn keys(&self, deployment: DeploymentId) -> HsmFuture<'_, Vec<HsmKey>>;

    /// Checks that a key is there and as it was made: its attributes, that nothing else carries its label
    /// and, of a signing key, that the two halves fit. That it has the same value as before is for the
    /// caller to see: a root opens what it sealed, a signing key has the public key that was kept.
    fn check_key(&self, key: HsmKey) -> HsmFuture<'_, ()>;

    /// Seals a domain key under a root, AES-256-GCM with a random nonce, and opens it again to
    /// check. Nonce (12), ciphertext (32), tag (16). Random nonces are safe here: a root seals one
    /// domain key, or a few.
    fn seal<'a>(
        &'a self,
        permit: &'a Permit,
        root: HsmKey,
        aad: Vec<u8>,
        secret: &'a DomainKey,
    ) -> HsmFuture<'a, Vec<u8>>;

    /// Opens a sealed domain key. Needs no permit: loading a domain key uses no key of a user, and
    /// every use of one is granted and recorded by itself. [`HsmError::NotOpened`] for another
    /// root, other associated data, or changed bytes.
    fn open(&self, root: HsmKey, aad: Vec<u8>, sealed: Vec<u8>) -> HsmFuture<'_, DomainKey>;

    /// Signs with the issuer or log key (Ed25519, RFC 8032) and verifies before answering. A root
    /// signs nothing: [`HsmError::Refused`].
    fn sign(&self, key: HsmKey, message: Vec<u8>) -> HsmFuture<'_, [u8; 64]>;

    /// The public key of the issuer or log key. As RFC 8032 encodes it, without any wrapping of
    /// PKCS#11.
    fn public_key(&self, key: HsmKey) -> HsmFuture<'_, [u8; 32]>;

    /// Asks the token for a sign of life. For `/readyz`; it uses no key.
    fn ping(&self) -> HsmFuture<'_, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_reads_back_and_has_one_spelling() {
        let deployment = DeploymentId::from_random([1; 16]);
        let keyring = KeyringId::from_random([2; 16]);
        for role in [HsmRole::Root { keyring, epoch: 12 }, HsmRole::Issuer, HsmRole::Log] {
            let key = HsmKey { deployment, role };
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        for other in [
            String::new(),
            "keyhaven/x/log".to_owned(),
            format!("keyhaven/{deployment}"),
            format!("keyhaven/{deployment}/log/"),
            format!("keyhaven/{deployment}/data"),
            format!("keyhaven/{deployment}/root/{keyring}"),
            format!("keyhaven/{deployment}/root/{keyring}/0"),
            format!("keyhaven/{deployment}/root/{keyring}/01"),
            format!("keyhaven/{deployment}/root/{keyring}/+1"),
            format!("keyhaven/{deployment}/root/{keyring}/4294967296"),
            format!(" keyhaven/{deployment}/log"),
        ] {
            assert_eq!(other.parse::<HsmKey>(), Err(ParseHsmKeyError), "{other}");
        }
    }
}
