use std::sync::Arc;

use aws_lc_rs::hmac;
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};

use super::*;
use crate::conformance::memory_issuer::MemoryIssuer;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example/realms/a";

fn trusted() -> TrustedIssuer {
    TrustedIssuer {
        issuer: ISSUER.to_owned(),
        audience: "keyhaven".to_owned(),
        other_audiences: vec!["https://idp.example/userinfo".to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        max_lifetime_s: 3600,
        single_use: false,
    }
}

struct Provider {
    issuer: Arc<MemoryIssuer>,
    federation: Federation,
}

impl Provider {
    fn new() -> Self {
        Self::trusting(trusted())
    }

    fn trusting(trusted: TrustedIssuer) -> Self {
        let issuer = Arc::new(MemoryIssuer::new().unwrap());
        let federation = Federation::new(vec![trusted], Arc::clone(&issuer) as _);
        Self { issuer, federation }
    }

    /// Whom a token proves.
    async fn proves(&self, token: &str) -> Option<String> {
        let verified = self.federation.verify(token, NOW).await;
        verified
            .map(|verified| format!("{} {}", verified.identity.issuer, verified.identity.subject))
    }

    async fn accepts(&self, token: &str) -> bool {
        self.proves(token).await.is_some()
    }

    /// A token signed by the key for P-256, whose header and claims are changed.
    fn token(&self, claims: &Value) -> String {
        self.signed("ES256", r#"{"alg":"ES256","kid":"p256"}"#, &claims.to_string())
    }

    fn signed(&self, algorithm: &str, header: &str, claims: &str) -> String {
        self.issuer.sign(algorithm, header, claims).unwrap()
    }
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "ann", "aud": "keyhaven", "exp": NOW + 300, "iat": NOW })
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

fn encode(text: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(text.as_ref())
}

#[tokio::test]
async fn a_good_token_proves_its_issuer_and_subject_by_each_algorithm() {
    let provider = Provider::new();
    for (algorithm, kid) in
        [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "p256"), ("EdDSA", "ed25519")]
    {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}","typ":"at+jwt"}}"#);
        let token = provider.signed(algorithm, &header, &claims().to_string());
        let expected = Some(format!("{ISSUER} ann"));
        assert_eq!(provider.proves(&token).await, expected, "{algorithm}");
    }
}

#[tokio::test]
async fn an_algorithm_that_is_not_allowed_for_the_issuer_is_refused_though_its_key_is_there() {
    for allowed in Algorithm::ALL {
        let provider = Provider::trusting(TrustedIssuer { algorithms: vec![allowed], ..trusted() });
        for (algorithm, kid) in
            [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "p256"), ("EdDSA", "ed25519")]
        {
            let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}"}}"#);
            let token = provider.signed(algorithm, &header, &claims().to_string());
            assert_eq!(
                provider.accepts(&token).await,
                algorithm == allowed.name(),
                "{algorithm} {allowed}"
            );
        }
    }
}

#[tokio::test]
async fn no_signature_and_a_mac_under_the_public_key_prove_nothing() {
    let provider = Provider::new();
    let claims = claims().to_string();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = encode(format!(r#"{{"alg":"{alg}","kid":"rsa"}}"#));
        for signature in ["", "AA", "."] {
            let token = format!("{header}.{}.{signature}", encode(&claims));
            assert!(!provider.accepts(&token).await, "{alg} {signature}");
        }
    }
    // The classic: the public key, which everybody has, as the secret of a MAC.
    let keys = provider.issuer.document().unwrap()["keys"].clone();
    let secrets = [keys[0]["n"].as_str().unwrap().to_owned(), keys[0].to_string(), String::new()];
    for secret in secrets {
        let signed = format!("{}.{}", encode(r#"{"alg":"HS256","kid":"rsa"}"#), encode(&claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let token = format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes())));
        assert!(!provider.accepts(&token).await);
        // The same under a name that is allowed.
        let signed = format!("{}.{}", encode(r#"{"alg":"RS256","kid":"rsa"}"#), encode(&claims));
        let token = format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes())));
        assert!(!provider.accepts(&token).await);
    }
    assert_eq!(provider.issuer.asked(), 3, "what names no known algorithm asks for no keys");
}

#[tokio::test]
async fn headers_that_bring_keys_or_lead_to_them_are_refused_though_all_else_is_good() {
    let provider = Provider::new();
    let stranger = MemoryIssuer::new().unwrap();
    let jwk = stranger.document().unwrap()["keys"][1].clone();
    for member in [
        format!(r#""jwk":{jwk}"#),
        r#""jku":"https://evil.example/keys""#.to_owned(),
        r#""x5u":"http://169.254.169.254/latest""#.to_owned(),
        r#""x5c":["MIIB"]"#.to_owned(),
        r#""crit":["exp"]"#.to_owned(),
        r#""b64":false,"crit":["b64"]"#.to_owned(),
        r#""cty":"JWT""#.to_owned(),
        r#""kid":"p256""#.to_owned(),
        r#""typ":"logout+jwt""#.to_owned(),
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"p256",{member}}}"#);
        for token in [
            provider.signed("ES256", &header, &claims().to_string()),
            stranger.sign("ES256", &header, &claims().to_string()).unwrap(),
        ] {
            assert!(!provider.accepts(&token).await, "{member}");
        }
    }
}

#[tokio::test]
async fn a_key_id_finds_one_known_key_and_leads_nowhere_else() {
    let provider = Provider::new();
    let long = "x".repeat(300);
    for kid in [
        "",
        "p256 ",
        "P256",
        "../p256",
        "../../dev/null",
        "/etc/passwd",
        "p256' OR '1'='1",
        "%70256",
        "p256\\u0000",
        "rsa",
        "ed25519",
        "https://evil.example",
        "file:///dev/null",
        &long,
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#);
        let token = provider.signed("ES256", &header, &claims().to_string());
        assert!(!provider.accepts(&token).await, "{kid}");
    }
    for header in
        [r#"{"alg":"ES256"}"#, r#"{"alg":"ES256","kid":null}"#, r#"{"alg":"ES256","kid":["p256"]}"#]
    {
        let token = provider.signed("ES256", header, &claims().to_string());
        assert!(!provider.accepts(&token).await, "{header}");
    }
}

#[tokio::test]
async fn a_key_of_another_kind_or_another_issuer_verifies_nothing() {
    let provider = Provider::new();
    let stranger = MemoryIssuer::new().unwrap();
    for (algorithm, kid) in
        [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "p256"), ("EdDSA", "ed25519")]
    {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}"}}"#);
        let token = stranger.sign(algorithm, &header, &claims().to_string()).unwrap();
        assert!(!provider.accepts(&token).await, "{algorithm}");
        // Signed by one of our algorithms, and called another.
        for other in
            ["RS256", "PS256", "ES256", "EdDSA"].into_iter().filter(|other| *other != algorithm)
        {
            let token = provider.signed(other, &header, &claims().to_string());
            assert!(!provider.accepts(&token).await, "{other} called {algorithm}");
        }
    }
}

#[tokio::test]
async fn signatures_of_zeros_empty_ones_and_changed_tokens_are_refused() {
    let provider = Provider::new();
    let good = provider.token(&claims());
    assert!(provider.accepts(&good).await);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    for (bytes, what) in
        [(vec![0; 64], "r=s=0"), (vec![0; 1], "one zero"), (vec![0xff; 64], "beyond the order")]
    {
        assert!(!provider.accepts(&format!("{signed}.{}", encode(bytes))).await, "{what}");
    }
    for kid in ["rsa", "ed25519"] {
        let alg = if kid == "rsa" { "RS256" } else { "EdDSA" };
        let header = format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#);
        let token = provider.signed(alg, &header, &claims().to_string());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let zeros = encode(vec![0; Base64UrlUnpadded::decode_vec(signature).unwrap().len()]);
        assert!(!provider.accepts(&format!("{signed}.{zeros}")).await, "{kid}");
    }
    for bad in
        [format!("{signed}."), signed.to_owned(), format!("{good}.{signature}"), format!("{good}=")]
    {
        assert!(!provider.accepts(&bad).await, "{bad}");
    }
    let nested = format!("{}.{}.{signature}", signed.split('.').next().unwrap(), encode(&good));
    assert!(!provider.accepts(&nested).await, "a token in a token");
    for at in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(!provider.accepts(str::from_utf8(&changed).unwrap()).await, "character {at}");
        assert!(!provider.accepts(good.get(..at).unwrap()).await, "cut at {at}");
    }
}

#[tokio::test]
async fn claims_that_stand_twice_are_refused_whichever_is_right() {
    let provider = Provider::new();
    let good = claims().to_string();
    let header = r#"{"alg":"ES256","kid":"p256"}"#;
    for member in [
        r#""sub":"ann""#,
        r#""sub":"admin""#,
        r#""s\u0075b":"admin""#,
        r#""aud":"keyhaven""#,
        r#""exp":1800000300"#,
        r#""role":1,"role":2"#,
    ] {
        for text in [
            format!("{{{member},{}", good.strip_prefix('{').unwrap()),
            format!("{},{member}}}", good.strip_suffix('}').unwrap()),
        ] {
            assert!(!provider.accepts(&provider.signed("ES256", header, &text)).await, "{text}");
        }
    }
}

#[tokio::test]
async fn the_issuer_is_compared_byte_for_byte() {
    let provider = Provider::new();
    for issuer in [
        "https://idp.example/realms/a/",
        "https://idp.example/realms/A",
        "https://idp.example/realms",
        "https://idp.example/realms/./a",
        "https://IDP.example/realms/a",
        "https://idp.example:443/realms/a",
        "http://idp.example/realms/a",
        " https://idp.example/realms/a",
        "https://idp.example/realms/\u{430}",
        "",
    ] {
        assert!(!provider.accepts(&provider.token(&with("iss", issuer))).await, "{issuer}");
    }
    assert_eq!(provider.issuer.asked(), 0, "an issuer that is not configured is asked for nothing");
}

#[tokio::test]
async fn a_token_is_for_us_and_for_nobody_who_was_not_named() {
    let provider = Provider::new();
    let userinfo = "https://idp.example/userinfo";
    for good in [json!("keyhaven"), json!(["keyhaven"]), json!([userinfo, "keyhaven"])] {
        assert!(provider.accepts(&provider.token(&with("aud", good.clone()))).await, "{good}");
    }
    for bad in [
        json!("Keyhaven"),
        json!("keyhaven "),
        json!(""),
        json!([]),
        json!(["keyhaven", "other"]),
        json!(userinfo),
        json!([userinfo]),
        json!("*"),
        json!(null),
        json!(7),
        json!({ "keyhaven": 1 }),
        json!(["keyhaven", 7]),
        json!([["keyhaven"]]),
    ] {
        assert!(!provider.accepts(&provider.token(&with("aud", bad.clone()))).await, "{bad}");
    }
}

#[tokio::test]
async fn a_token_lives_from_its_beginning_to_its_end_give_or_take_the_skew() {
    let provider = Provider::new();
    let accepts = async |exp: u64, iat: u64, nbf: Option<u64>| {
        let mut claims = with("exp", exp);
        claims["iat"] = iat.into();
        if let Some(nbf) = nbf {
            claims["nbf"] = nbf.into();
        }
        provider.accepts(&provider.token(&claims)).await
    };
    // The end.
    assert!(accepts(NOW + 1 - SKEW, NOW - 300, None).await);
    assert!(!accepts(NOW - SKEW, NOW - 300, None).await);
    // The beginning, by either claim.
    assert!(accepts(NOW + 300, NOW + SKEW, None).await);
    assert!(!accepts(NOW + 300, NOW + SKEW + 1, None).await);
    assert!(accepts(NOW + 300, NOW, Some(NOW + SKEW)).await);
    assert!(!accepts(NOW + 300, NOW, Some(NOW + SKEW + 1)).await);
    // The whole life.
    assert!(accepts(NOW + 3600, NOW, None).await);
    assert!(!accepts(NOW + 3601, NOW, None).await);
    assert!(!accepts(NOW + 10, NOW + 11, None).await, "it ends before it begins");
    for numbers in [(u64::MAX, NOW), (u64::MAX, u64::MAX), (0, 0), (NOW + 300, 0)] {
        assert!(!accepts(numbers.0, numbers.1, None).await, "{numbers:?}");
    }
    for name in ["exp", "iat"] {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        assert!(!provider.accepts(&provider.token(&without)).await, "no {name}");
        for bad in
            [json!("1800000300"), json!(1_800_000_300.5), json!(-1), json!(null), json!(true)]
        {
            assert!(
                !provider.accepts(&provider.token(&with(name, bad.clone()))).await,
                "{name} {bad}"
            );
        }
    }
}

#[tokio::test]
async fn without_keys_nobody_is_believed_and_withdrawn_keys_are_not_used() {
    let provider = Provider::new();
    let token = provider.token(&claims());
    provider.issuer.publish(None);
    assert!(!provider.accepts(&token).await, "the provider cannot be reached");
    provider.issuer.publish(Some(&json!({ "keys": [] })));
    assert!(!provider.accepts(&token).await, "the provider has no keys");
    let mut document = provider.issuer.document().unwrap();
    document["keys"][1]["use"] = "enc".into();
    provider.issuer.publish(Some(&document));
    assert!(!provider.accepts(&token).await, "the key is for something else");
    document["keys"][1] = document["keys"][0].clone();
    document["keys"][1]["kid"] = "p256".into();
    provider.issuer.publish(Some(&document));
    assert!(!provider.accepts(&token).await, "the name is another key's");
    for (member, value) in [("x", "AAAA"), ("y", "***"), ("crv", "P-384")] {
        let mut document = provider.issuer.document().unwrap();
        document["keys"][1][member] = value.into();
        provider.issuer.publish(Some(&document));
        assert!(!provider.accepts(&token).await, "{member}");
    }
    provider.issuer.publish(provider.issuer.document().as_ref());
    assert!(provider.accepts(&token).await);
}

#[tokio::test]
async fn a_token_for_one_use_has_a_name_of_its_own() {
    let provider = Provider::trusting(TrustedIssuer { single_use: true, ..trusted() });
    assert!(!provider.accepts(&provider.token(&claims())).await, "it has no jti");
    let spend = async |jti: &str| {
        let token = provider.token(&with("jti", jti));
        provider.federation.verify(&token, NOW).await.unwrap().spend.unwrap()
    };
    let (one, again, other) = (spend("1").await, spend("1").await, spend("2").await);
    assert_eq!((one, one.uses, one.expires), (again, 1, NOW + 300 + SKEW));
    assert_ne!(one.ticket, other.ticket);
    assert_ne!(one_use("https://other.example", "1", 0).unwrap().ticket, one.ticket);
}
