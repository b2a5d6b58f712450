use base64ct::{Base64UrlUnpadded, Encoding};

use super::*;

const CLAIMS: &str =
    r#"{"iss":"https://idp.example","sub":"ann","aud":"keyhaven","exp":200,"iat":100}"#;
const HEADER: &str = r#"{"alg":"ES256","kid":"one"}"#;

fn token(header: &str, claims: &str) -> String {
    let [header, claims] =
        [header, claims].map(|text| Base64UrlUnpadded::encode_string(text.as_bytes()));
    format!("{header}.{claims}.c2lnbmF0dXJl")
}

fn refused(header: &str, claims: &str) -> bool {
    UnverifiedToken::parse(&token(header, claims)) == Err(MalformedToken)
}

#[test]
fn a_token_is_taken_apart() {
    let whole = r#"{"iss":"i","sub":"s","aud":["a","b"],"exp":3,"iat":1,"nbf":2,"jti":"j","azp":{"x":[1]}}"#;
    let header = r#"{"typ":"at+JWT","alg":"RS256","kid":"k","x5t":"t","x5t#S256":"u"}"#;
    let read = UnverifiedToken::parse(&token(header, whole)).unwrap();
    assert_eq!((read.algorithm, read.key_id.as_str()), (Algorithm::Rs256, "k"));
    let claims = read.claims;
    assert_eq!((claims.issuer.as_str(), claims.subject.as_str()), ("i", "s"));
    assert_eq!((claims.audiences.len(), claims.id.as_deref()), (2, Some("j")));
    assert_eq!((claims.expires_at, claims.issued_at, claims.not_before), (3, 1, Some(2)));
}

#[test]
fn algorithms_that_are_not_allowed_anywhere_are_no_algorithms() {
    for name in ["none", "None", "", "HS256", "HS512", "es256", "ES256K", "RS1", "EdDSA ", "dir"] {
        assert!(refused(&format!(r#"{{"alg":"{name}","kid":"one"}}"#), CLAIMS), "{name}");
    }
    for algorithm in Algorithm::ALL {
        assert!(
            !refused(&format!(r#"{{"alg":"{algorithm}","kid":"one"}}"#), CLAIMS),
            "{algorithm}"
        );
    }
}

#[test]
fn headers_that_choose_keys_or_change_the_reading_are_refused() {
    for member in [
        r#""jwk":{"kty":"EC"}"#,
        r#""jku":"https://evil.example/keys""#,
        r#""x5u":"https://evil.example/certificate""#,
        r#""x5c":["MIIB"]"#,
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""b64":false"#,
        r#""cty":"JWT""#,
        r#""enc":"A128GCM""#,
        r#""zip":"DEF""#,
        r#""alg":"ES256""#,
        r#""kid":"one""#,
        r#""\u006bid":"one""#,
        r#""typ":"logout+jwt""#,
        r#""typ":"dpop+jwt""#,
        r#""typ":7"#,
        r#""anything":1"#,
    ] {
        assert!(refused(&format!(r#"{{"alg":"ES256","kid":"one",{member}}}"#), CLAIMS), "{member}");
    }
    for header in [
        r#"{"alg":"ES256"}"#,
        r#"{"kid":"one"}"#,
        r#"{"alg":"ES256","kid":""}"#,
        "[]",
        "7",
        "",
        "{",
    ] {
        assert!(refused(header, CLAIMS), "{header}");
    }
}

#[test]
fn claims_stand_once_and_are_what_they_should_be() {
    assert!(!refused(HEADER, CLAIMS));
    for (name, value) in
        [("iss", "\"i\""), ("sub", "\"s\""), ("aud", "\"a\""), ("exp", "1"), ("iat", "1")]
    {
        let twice = format!("{},\"{name}\":{value}}}", CLAIMS.trim_end_matches('}'));
        assert!(refused(HEADER, &twice), "{name} twice");
        let without = CLAIMS.replace(&format!("\"{name}\":"), &format!("\"{name}x\":"));
        assert!(refused(HEADER, &without), "{name} left out");
    }
    for more in
        [r#""x":1,"x":1"#, r#""s\u0075b":"other""#, r#""nbf":1,"nbf":1"#, r#""jti":"a","jti":"a""#]
    {
        assert!(refused(HEADER, &format!("{},{more}}}", CLAIMS.trim_end_matches('}'))), "{more}");
    }
    for (from, to) in [
        ("200", "-1"),
        ("200", "200.5"),
        ("200", "\"200\""),
        ("200", "1e3"),
        ("200", "18446744073709551616"),
        ("\"ann\"", "7"),
        ("\"ann\"", "null"),
        ("\"ann\"", "\"\""),
        ("\"keyhaven\"", "[]"),
        ("\"keyhaven\"", "[7]"),
        ("\"keyhaven\"", "\"\""),
        ("\"keyhaven\"", "{}"),
    ] {
        assert!(refused(HEADER, &CLAIMS.replace(from, to)), "{from} {to}");
    }
    let long = "x".repeat(513);
    assert!(refused(HEADER, &CLAIMS.replace("ann", &long)), "a long subject");
    let many = vec!["\"keyhaven\""; 17].join(",");
    assert!(
        refused(HEADER, &CLAIMS.replace("\"keyhaven\"", &format!("[{many}]"))),
        "many audiences"
    );
}

#[test]
fn only_three_parts_in_one_spelling_are_a_token() {
    let good = token(HEADER, CLAIMS);
    assert!(UnverifiedToken::parse(&good).is_ok());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let nested = format!(
        "{}.{}.{signature}",
        signed.split('.').next().unwrap(),
        Base64UrlUnpadded::encode_string(good.as_bytes())
    );
    for bad in [
        String::new(),
        "..".to_owned(),
        format!("{signed}."),
        signed.to_owned(),
        format!("{good}.{signature}"),
        format!("{good}."),
        format!("{good}.{signature}.{signature}"),
        format!("{good}="),
        format!(" {good}"),
        format!("{good}\n"),
        good.replace('.', " "),
        nested,
        format!("{signed}.{}", "A".repeat(LONGEST_TOKEN)),
        format!("{signed}.***"),
    ] {
        assert_eq!(UnverifiedToken::parse(&bad), Err(MalformedToken), "{bad:.60}");
    }
}

const KEYS: &str = r#"{"keys":[
    {"kty":"EC","crv":"P-256","kid":"p","x":"eA","y":"eQ","use":"sig","alg":"ES256"},
    {"kty":"RSA","kid":"r","n":"bg","e":"AQAB","x5c":["ignored"]},
    {"kty":"OKP","crv":"Ed25519","kid":"d","x":"eA","key_ops":["verify"]},
    {"kty":"oct","kid":"mac","k":"c2VjcmV0"},
    {"kty":"RSA","kid":"sealing","n":"bg","e":"AQAB","use":"enc"},
    {"kty":"RSA","kid":"oaep","n":"bg","e":"AQAB","alg":"RSA-OAEP"},
    {"kty":"EC","crv":"secp256k1","kid":"k1","x":"eA","y":"eQ"},
    {"kty":"RSA","n":"bg","e":"AQAB"},
    {"kty":"OKP","crv":"Ed25519","kid":"signs","x":"eA","key_ops":["sign"]},
    {"kty":"RSA","kid":"twice","n":"bg","e":"AQAB"},
    {"kty":"RSA","kid":"twice","n":"bw","e":"AQAB"},
    7
]}"#;

#[test]
fn a_key_verifies_what_its_kind_and_its_provider_say() {
    let keys = KeySet::parse(KEYS.as_bytes()).unwrap();
    assert_eq!(keys.len(), 5);
    let found: Vec<_> =
        ["p", "r", "d", "mac", "sealing", "oaep", "k1", "signs", "twice", "", "../r"]
            .into_iter()
            .flat_map(|kid| Algorithm::ALL.map(|algorithm| (kid, algorithm)))
            .filter(|(kid, algorithm)| keys.find(kid, *algorithm).is_some())
            .collect();
    let expected = [
        ("p", Algorithm::Es256),
        ("r", Algorithm::Rs256),
        ("r", Algorithm::Ps256),
        ("d", Algorithm::EdDsa),
    ];
    assert_eq!(found, expected);
    assert!(keys.has("twice") && !keys.has("mac"));
}

#[test]
fn what_is_no_set_of_keys_is_refused_and_an_empty_one_has_none() {
    assert!(KeySet::parse(br#"{"keys":[]}"#).unwrap().is_empty());
    let many = vec![r#"{"kty":"x"}"#; MOST_KEYS_AND_ONE].join(",");
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"keys":{}}"#,
        r#"{"keys":7}"#,
        "<html>",
        &format!(r#"{{"keys":[{many}]}}"#),
    ] {
        assert_eq!(KeySet::parse(bad.as_bytes()), Err(MalformedKeySet), "{bad:.40}");
    }
}

const MOST_KEYS_AND_ONE: usize = 101;
