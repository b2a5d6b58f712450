//! `[[oidc]]`: an identity provider, and what its tokens must be.

use std::path::PathBuf;

use keyhaven_shared::jwt::Algorithm;
use serde::Deserialize;

use super::web::Endpoint;

/// The longest life of a token that can be allowed, in seconds: a day.
const LONGEST_LIFE_S: u64 = 24 * 3600;
/// The oldest that keys may become, in seconds: a day.
const OLDEST_KEYS_S: u64 = 24 * 3600;

/// An identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The `iss` of its tokens, byte for byte; also where its document is.
    pub issuer: String,
    /// What must be among the `aud` of its tokens.
    pub audience: String,
    /// What else may be there.
    #[serde(default)]
    pub other_audiences: Vec<String>,
    /// How its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// The authorities that may vouch for it, in PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Where its keys are, if not where its document says, which must be at the same host and port.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// The longest time from a token's `iat` to its `exp`, in seconds.
    #[serde(default = "an_hour")]
    pub max_lifetime_s: u64,
    /// How old its keys may become while it cannot be reached, in seconds.
    #[serde(default = "an_hour")]
    pub keys_max_age_s: u64,
    /// Whether each token is good for one request.
    #[serde(default)]
    pub single_use: bool,
    /// Whether it is spoken to over plain HTTP, on this machine: for tests.
    #[serde(default)]
    pub http_on_loopback: bool,
}

const fn an_hour() -> u64 {
    3600
}

impl IssuerConfig {
    /// What is connected to; `None` if one of the addresses is none.
    fn endpoints(&self) -> Option<Vec<Endpoint>> {
        let uris = [Some(&self.issuer), self.jwks_uri.as_ref()].into_iter().flatten();
        uris.map(|uri| Endpoint::parse(uri)).collect()
    }

    /// The ports that are connected to.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.endpoints().unwrap_or_default().iter().map(|endpoint| endpoint.port).collect()
    }

    /// Refuses what would believe too much.
    ///
    /// # Errors
    /// What to put right.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let Some(endpoints) = self.endpoints() else {
            return Err(
                "[[oidc]] `issuer` and `jwks_uri` are URLs such as `https://login.example/realms/staff`: \
                 no user, no query, no fragment",
            );
        };
        let plain = endpoints.iter().any(|endpoint| !endpoint.tls);
        if plain && !(self.http_on_loopback && endpoints.iter().all(Endpoint::is_loopback)) {
            return Err(
                "[[oidc]] an identity provider is spoken to over https: whoever answers in its place could \
                 be anybody here (`http_on_loopback = true` is for tests on one machine)",
            );
        }
        if self.ca.is_none() && !plain {
            return Err(
                "[[oidc]] needs `ca`, the authorities that may vouch for the provider; those that Debian \
                 ships are in /etc/ssl/certs/ca-certificates.crt",
            );
        }
        if self.audience.is_empty() || self.other_audiences.iter().any(String::is_empty) {
            return Err(
                "[[oidc]] `audience` is what the provider puts into `aud` of tokens for this server: a token \
                 for anybody else is not for it",
            );
        }
        if self.algorithms.is_empty() {
            return Err("[[oidc]] `algorithms` names at least one of RS256, PS256, ES256, EdDSA");
        }
        if !(1..=LONGEST_LIFE_S).contains(&self.max_lifetime_s)
            || !(1..=OLDEST_KEYS_S).contains(&self.keys_max_age_s)
        {
            return Err("[[oidc]] `max_lifetime_s` and `keys_max_age_s` are 1 to 86400, a day");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Result<IssuerConfig, String> {
        let text = format!("audience = \"keyhaven\"\nalgorithms = [\"ES256\"]\n{more}");
        let config: IssuerConfig = toml::from_str(&text).map_err(|error| error.to_string())?;
        config.check().map(|()| config).map_err(ToOwned::to_owned)
    }

    #[test]
    fn a_provider_is_spoken_to_over_tls_and_vouched_for_by_authorities_that_are_named() {
        let good = "issuer = \"https://login.example/realms/a\"\nca = \"/ca.pem\"\n";
        assert_eq!(config(good).unwrap().ports(), [443]);
        let two = format!("{good}jwks_uri = \"https://keys.example:8443/keys\"");
        assert_eq!(config(&two).unwrap().ports(), [443, 8443]);
        assert!(config("issuer = \"https://login.example\"").unwrap_err().contains("needs `ca`"));
        for plain in [
            "issuer = \"http://login.example\"\nca = \"/ca.pem\"",
            "issuer = \"http://127.0.0.1:9000\"\nca = \"/ca.pem\"",
            "issuer = \"http://login.example\"\nhttp_on_loopback = true",
            "issuer = \"http://10.0.0.1\"\nhttp_on_loopback = true",
            "issuer = \"http://localhost.example\"\nhttp_on_loopback = true",
            "issuer = \"http://127.0.0.1:9000\"\nhttp_on_loopback = true\njwks_uri = \"http://169.254.169.254/\"",
        ] {
            assert!(config(plain).unwrap_err().contains("over https"), "{plain}");
        }
        let loopback = "issuer = \"http://127.0.0.1:9000\"\nhttp_on_loopback = true";
        assert_eq!(config(loopback).unwrap().ports(), [9000]);
    }

    #[test]
    fn what_is_no_url_or_says_too_little_is_refused() {
        for issuer in [
            "",
            "login.example",
            "https://",
            "https:///a",
            "https://user@login.example",
            "ftp://login.example",
            "https://login.example?a=b",
            "https://login.example/#a",
            "https://login.example:0",
            "https://login.example:99999",
            "https://a b",
            "file:///etc/passwd",
        ] {
            let text = format!("issuer = \"{issuer}\"\nca = \"/ca.pem\"");
            assert!(config(&text).unwrap_err().contains("are URLs"), "{issuer}");
        }
        let good = "issuer = \"https://login.example\"\nca = \"/ca.pem\"\n";
        for (more, expected) in [
            ("max_lifetime_s = 0", "86400"),
            ("keys_max_age_s = 86401", "86400"),
            ("other_audiences = [\"\"]", "`audience`"),
            ("allowed = true", "unknown field"),
        ] {
            assert!(config(&format!("{good}{more}")).unwrap_err().contains(expected), "{more}");
        }
        for algorithms in ["[]", "[\"HS256\"]", "[\"none\"]", "[\"RS512\"]"] {
            let text = format!("{good}audience = \"a\"\nalgorithms = {algorithms}");
            let refused = toml::from_str::<IssuerConfig>(&text).map_err(|error| error.to_string());
            let refused = refused.and_then(|config| config.check().map_err(ToOwned::to_owned));
            assert!(refused.unwrap_err().contains("RS256"), "{algorithms}");
        }
    }
}
