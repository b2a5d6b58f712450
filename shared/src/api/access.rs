//! Principals and API tokens.

use super::documents;

// A token's secret is in one document, the answer to its making, and in no other.
documents! {
    /// Makes a principal.
    CreatePrincipal {
        /// 1 to 63 of `a-z 0-9 . _ @ -`, beginning with a letter or digit; unique, never used again.
        name: String,
        /// The groups it is in; policies can name them.
        #[serde(default)]
        groups: Vec<String>,
    }

    /// A principal.
    Principal {
        /// Its name.
        name: String,
        /// The groups it is in.
        groups: Vec<String>,
        /// Whether it may act.
        enabled: bool,
        /// When it was made.
        created_at: u64,
    }

    /// A page of principals.
    PrincipalList {
        /// In order of name.
        principals: Vec<Principal>,
        /// Ask again with `after` set to this for the next page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// Issues an API token for the principal in the path.
    IssueToken {
        /// Days it is good for, 1 to 365; 90 when left out.
        #[serde(default = "default_token_days")]
        expires_in_days: u32,
    }

    /// An API token, shown this once.
    IssuedToken {
        /// For the header `Authorization: Bearer …`.
        token: String,
        /// Its id, as it stands in the audit log; what `revoke` takes.
        id: String,
        /// When it ends.
        expires_at: u64,
    }

    /// A token's end.
    RevokedToken {
        /// Its id.
        id: String,
        /// When it was revoked.
        revoked_at: u64,
    }
}

const fn default_token_days() -> u32 {
    90
}
