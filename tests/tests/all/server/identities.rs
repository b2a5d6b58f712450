//! Callers who come by tokens of identity providers: who is believed, and who is not.

mod login;
mod provider;

use std::{fs, net::TcpListener};

use serde_json::{Value, json};

use self::provider::{Authority, Provider, encode};
use super::production::{Machine, Serving};
use crate::harness::complaint;

/// A configured server, and its administrator's token.
struct Site {
    machine: Machine,
    server: Serving,
    address: String,
    admin: String,
}

impl Site {
    /// A server that believes these issuers, for the authority in `idp.pem`.
    fn believing(machine: Machine, issuers: &[&str]) -> Self {
        let ca = machine.path("idp.pem");
        let tables = issuers.iter().map(|issuer| {
            format!(
                "\n[[oidc]]\nissuer = \"{issuer}\"\naudience = \"keyhaven\"\nalgorithms = [\"ES256\"]\n\
                 ca = \"{}\"\n",
                ca.display()
            )
        });
        let tables: String = tables.collect();
        let config = machine.configure(|text| format!("{text}{tables}"));
        let (server, address) = machine
            .serve_by(machine.command(&config).env("RUST_LOG", "info,keyhaven_engine=debug"));
        let out = fs::read_to_string(machine.path("out")).unwrap();
        let admin = out.lines().find(|line| line.starts_with("kh1.")).unwrap().to_owned();
        Self { machine, server, address, admin }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.machine.path("err")).unwrap()
    }

    /// Runs a command as the administrator, which must succeed; gives its JSON.
    fn must(&self, arguments: &[&str]) -> Value {
        let output =
            self.machine.keyhaven(&self.address, &self.admin, &[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", complaint(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn bind(&self, principal: &str, issuer: &str, subject: &str) -> String {
        let bind = ["identity", "bind", principal, "--issuer", issuer, "--subject", subject];
        self.must(&bind)["id"].as_str().unwrap().to_owned()
    }

    /// What a command says that is run with this token; `Ok` if it succeeds.
    fn lists(&self, token: &str) -> Result<(), String> {
        let output = self.machine.keyhaven(&self.address, token, &["key", "list"]);
        if output.status.success() { Ok(()) } else { Err(complaint(&output)) }
    }

    /// Whether a token is refused as every other bad credential is.
    fn refuses(&self, token: &str, what: &str) {
        let said = self.lists(token).expect_err(what);
        assert!(said.contains("unauthenticated"), "{what}: {said}");
        assert!(said.contains("a token of an identity provider"), "{what}: {said}");
    }
}

fn now() -> u64 {
    keyhaven_tests::device::now().unwrap()
}

fn header() -> Value {
    json!({ "alg": "ES256", "kid": "one", "typ": "at+jwt" })
}

fn claims(provider: &Provider) -> Value {
    json!({ "iss": provider.issuer, "sub": "7f3c", "aud": "keyhaven", "exp": now() + 300, "iat": now() })
}

fn with(value: Value, name: &str, new: Value) -> Value {
    let Value::Object(mut object) = value else { panic!("an object") };
    object.insert(name.to_owned(), new);
    object.into()
}

#[test]
fn a_bound_identity_is_its_principal_and_every_bad_token_is_refused_alike() {
    let machine = Machine::new();
    let authority = Authority::new(&machine.path("idp.pem"));
    let (provider, other) = (Provider::honest(&authority), Provider::honest(&authority));
    let site = Site::believing(machine, &[&provider.issuer, &other.issuer]);
    let good = provider.sign(&header(), &claims(&provider));
    site.refuses(&good, "nobody is bound");
    site.must(&["principal", "create", "ann", "--group", "administrators"]);
    let id = site.bind("ann", &provider.issuer, "7f3c");

    // Nothing is permitted by being somebody: the policies decide, and the administrators' names a group.
    site.lists(&good).unwrap();
    let entries = site.must(&["audit", "show", "--principal", "ann"]);
    let entry = entries["entries"].as_array().unwrap().last().unwrap();
    assert_eq!((&entry["via"], &entry["credential"]), (&json!("oidc"), &json!(id)), "{entry}");
    assert_eq!(entry["operation"], "ListKeys");

    let says =
        |name: &str, value: Value| provider.sign(&header(), &with(claims(&provider), name, value));
    let heads =
        |name: &str, value: Value| provider.sign(&with(header(), name, value), &claims(&provider));
    let unsigned = |alg: &str| {
        let header = with(header(), "alg", json!(alg)).to_string();
        format!("{}.{}.", encode(header), encode(claims(&provider).to_string()))
    };
    let (signed, _) = good.rsplit_once('.').unwrap();
    let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": "two", "x": "AA", "y": "AA" });
    let mut bad = vec![
        ("another issuer", says("iss", json!("https://idp.example"))),
        ("an issuer that is believed, but did not sign", says("iss", json!(other.issuer))),
        ("another audience", says("aud", json!("somebody-else"))),
        ("one audience too many", says("aud", json!(["keyhaven", "somebody-else"]))),
        ("another subject", says("sub", json!("7f3C"))),
        ("the name of the principal", says("sub", json!("ann"))),
        ("it has expired", says("exp", json!(now() - 31))),
        ("it is not valid yet", says("nbf", json!(now() + 3600))),
        ("issued in the future", says("iat", json!(now() + 3600))),
        ("it lives too long", says("exp", json!(now() + 7200))),
        ("alg none", unsigned("none")),
        ("alg None", unsigned("None")),
        ("no signature", unsigned("ES256")),
        ("a signature of zeros", format!("{signed}.{}", encode([0; 64]))),
        ("a key that is not known", heads("kid", json!("two"))),
        ("a key that the token leads to", heads("jku", json!(format!("{}/keys", other.issuer)))),
        ("a key that the token brings", heads("jwk", jwk)),
        ("something critical", heads("crit", json!(["exp"]))),
        ("another's signature", other.sign(&header(), &claims(&provider))),
        ("no token at all", "not.a.token".to_owned()),
    ];
    let confused = with(header(), "alg", json!("HS256"));
    bad.extend(
        provider
            .mac(&confused, &claims(&provider))
            .map(|token| ("the public key as secret", token)),
    );
    for (what, token) in &bad {
        site.refuses(token, what);
    }
    site.lists(&good).unwrap();

    let log = site.log();
    for (_, token) in &bad {
        assert!(!log.contains(token.as_str()), "a token stands in the log");
    }
    assert!(log.contains("it is for another audience"), "the operator can find out why");
    assert!(other.asked().iter().all(|path| path == "/keys" || path.starts_with("/.well-known/")));

    site.must(&["identity", "unbind", &id]);
    site.refuses(&good, "the identity is nobody's any more");
    assert!(site.server.terminate());
}

#[test]
fn of_a_provider_that_is_away_or_lies_nobody_is_believed_and_the_log_says_why() {
    let machine = Machine::new();
    let authority = Authority::new(&machine.path("idp.pem"));
    let stranger = Authority::new(&machine.path("stranger.pem"));
    // A port that was free a moment ago, on which nobody listens.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut away = Provider::honest(&authority);
    away.issuer = format!("https://localhost:{port}");
    let untrusted = Provider::honest(&stranger);
    let renamed = Provider::lying(&authority, |path, answer| match path {
        "/keys" => answer,
        _ => answer.replace("localhost:", "localhost.:"),
    });
    let moved = Provider::lying(&authority, |_, answer| {
        let rest = answer.strip_prefix("HTTP/1.1 200 OK").unwrap();
        format!("HTTP/1.1 302 Found\r\nLocation: https://169.254.169.254/keys{rest}")
    });
    let huge = Provider::lying(&authority, |path, answer| match path {
        "/keys" => {
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", " ".repeat(300 * 1024))
        }
        _ => answer,
    });
    let empty = Provider::lying(&authority, |path, answer| match path {
        "/keys" => "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"keys\":[]}".to_owned(),
        _ => answer,
    });
    let honest = Provider::honest(&authority);
    let bad = [&away, &untrusted, &renamed, &moved, &huge, &empty];
    let mut issuers: Vec<&str> = bad.iter().map(|provider| provider.issuer.as_str()).collect();
    issuers.push(&honest.issuer);
    let site = Site::believing(machine, &issuers);
    site.must(&["principal", "create", "ann", "--group", "administrators"]);
    for issuer in issuers {
        site.bind("ann", issuer, "7f3c");
    }
    for (provider, what) in
        bad.iter().zip(["away", "untrusted", "renamed", "moved", "huge", "empty"])
    {
        site.refuses(&provider.sign(&header(), &claims(provider)), what);
        let path = if ["huge", "empty"].contains(&what) { Some("/keys") } else { None };
        if let Some(path) = path {
            assert_eq!(provider.asked().last().map(String::as_str), Some(path), "{what}");
        }
    }
    assert!(
        untrusted.asked().is_empty(),
        "nothing is asked of whom no named authority vouches for"
    );
    assert!(!moved.asked().contains(&"/keys".to_owned()));
    // The others take nothing from who is honest.
    site.lists(&honest.sign(&header(), &claims(&honest))).unwrap();
    let log = site.log();
    for provider in bad {
        let told = log.lines().any(|line| {
            line.contains(&provider.issuer)
                && (line.contains("cannot be had") || line.contains("\"keys\":0"))
        });
        assert!(told, "the log says nothing of {}: {log}", provider.issuer);
    }
    assert!(site.server.terminate());
}
