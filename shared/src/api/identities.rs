//! Identities that somebody else vouches for, and the principals that they are.

use super::documents;

documents! {
    /// Binds an identity to a principal.
    BindIdentity {
        /// The principal that it is to be.
        principal: String,
        /// Who vouches: the `iss` of an identity provider's tokens, byte for byte; or `sha256:` and the
        /// fingerprint, in lower case, of the certificate of an authority.
        issuer: String,
        /// For whom: the tokens' `sub`, or the name in the certificates, byte for byte.
        subject: String,
    }

    /// An identity, and whose it is.
    Identity {
        /// Its id, as it stands in the audit log.
        id: String,
        /// The principal that it is.
        principal: String,
        /// Who vouches.
        issuer: String,
        /// For whom.
        subject: String,
        /// When it was bound.
        created_at: u64,
    }

    /// A page of identities.
    IdentityList {
        /// In order of id.
        identities: Vec<Identity>,
        /// Ask again with `after` set to this for the next page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }
}
