//! Against a provider on loopback that answers what it is told to.

use std::net::TcpListener;

use super::{
    liar::{JSON, Liar},
    *,
};

const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"eA"}]}"#;

impl Liar {
    /// An honest one but for this path, whose answer is this.
    fn lying_at(path: &'static str, head: &'static str, body: &'static str) -> Self {
        Self::answering(move |asked, issuer| {
            let itself = issuer.to_owned();
            if asked == path {
                return (head.replace("ITSELF", &itself), body.replace("ITSELF", &itself));
            }
            honest(asked, issuer)
        })
    }

    fn config(&self) -> IssuerConfig {
        let Self { issuer, .. } = self;
        let text = format!(
            "issuer = \"{issuer}\"\naudience = \"keyhaven\"\nalgorithms = [\"EdDSA\"]\nhttp_on_loopback = true"
        );
        toml::from_str(&text).unwrap()
    }

    fn fetch(&self) -> Result<KeySet, fetch::FetchError> {
        Provider::open(&self.config()).unwrap().fetch()
    }
}

fn honest(path: &str, issuer: &str) -> (String, String) {
    let body = match path {
        "/keys" => KEYS.to_owned(),
        _ => format!("{{\"issuer\":\"{issuer}\",\"jwks_uri\":\"{issuer}/keys\",\"more\":[1]}}"),
    };
    (JSON.to_owned(), body)
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

#[test]
fn the_document_leads_to_the_keys() {
    let provider = Liar::answering(honest);
    assert_eq!(provider.fetch().unwrap().len(), 1);
    assert_eq!(provider.asked(), [DISCOVERY, "/keys"]);
    let config =
        IssuerConfig { jwks_uri: Some(format!("{}/keys", provider.issuer)), ..provider.config() };
    assert_eq!(Provider::open(&config).unwrap().fetch().unwrap().len(), 1);
    assert_eq!(provider.asked().len(), 3, "keys whose address is configured need no document");
}

#[test]
fn a_document_of_another_issuer_or_that_leads_to_another_host_is_not_followed() {
    for (body, expected) in [
        (r#"{"issuer":"https://idp.example","jwks_uri":"ITSELF/keys"}"#, "another issuer"),
        (r#"{"issuer":"ITSELF/","jwks_uri":"ITSELF/keys"}"#, "another issuer"),
        (r#"{"issuer":"ITSELF","jwks_uri":"http://169.254.169.254/keys"}"#, "another host"),
        (r#"{"issuer":"ITSELF","jwks_uri":"http://127.0.0.1:1/keys"}"#, "another host"),
        (r#"{"issuer":"ITSELF","jwks_uri":"ITSELF@idp.example/keys"}"#, "another host"),
        (r#"{"issuer":"ITSELF","jwks_uri":"file:///etc/passwd"}"#, "another host"),
        (r#"{"issuer":"ITSELF","jwks_uri":""}"#, "another host"),
        (r#"{"issuer":"ITSELF"}"#, "not the document"),
        ("<html>log in</html>", "not the document"),
        ("", "not the document"),
    ] {
        let provider = Liar::lying_at(DISCOVERY, JSON, body);
        let error = provider.fetch().unwrap_err().to_string();
        assert!(error.contains(expected), "{body}: {error}");
        assert_eq!(provider.asked(), [DISCOVERY], "{body}");
    }
}

#[test]
fn redirects_errors_and_what_is_no_set_of_keys_give_no_keys() {
    for path in [DISCOVERY, "/keys"] {
        for head in [
            "301 Moved Permanently\r\nLocation: ITSELF/elsewhere",
            "302 Found\r\nLocation: ITSELF/elsewhere",
            "307 Temporary Redirect\r\nLocation: http://169.254.169.254/latest/meta-data",
            "308 Permanent Redirect\r\nLocation: //127.0.0.1:1/",
            "204 No Content",
            "401 Unauthorized",
            "404 Not Found",
            "500 Internal Server Error",
            "503 Service Unavailable",
        ] {
            let provider = Liar::lying_at(path, head, KEYS);
            assert!(provider.fetch().is_err(), "{path} {head}");
            assert_eq!(provider.asked().last().map(String::as_str), Some(path), "{head}");
        }
    }
    for body in ["", "{}", "[]", "<html>", r#"{"keys":{}}"#, r#"{"keys":[]"#] {
        assert!(Liar::lying_at("/keys", JSON, body).fetch().is_err(), "{body}");
    }
}

#[test]
fn a_document_without_an_end_is_not_read_to_its_end() {
    let huge = |asked: &str, issuer: &str| match asked {
        "/keys" => (JSON.to_owned(), format!("{}{KEYS}", " ".repeat(300 * 1024))),
        other => honest(other, issuer),
    };
    let error = Liar::answering(huge).fetch().unwrap_err().to_string();
    assert!(error.contains("large"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_cause_one_fetch_and_a_name_that_is_not_known_none_so_soon() {
    let provider = Liar::answering(honest);
    let (_, providers) = open(&[provider.config()]).unwrap();
    providers.look_ahead().await;
    let all = (0..100).map(|n| {
        let (providers, issuer) = (Arc::clone(&providers), provider.issuer.clone());
        tokio::spawn(async move {
            let key = if n % 2 == 0 { "a".to_owned() } else { format!("unknown-{n}") };
            providers.keys(&issuer, &key).await.map(|keys| keys.len())
        })
    });
    for one in all.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), Some(1));
    }
    assert_eq!(provider.asked().len(), 2);
    let elsewhere = format!("{}/elsewhere", provider.issuer);
    assert!(providers.keys(&elsewhere, "a").await.is_none(), "it is not configured");
    assert_eq!(provider.asked().len(), 2);
}

#[tokio::test]
async fn of_a_provider_that_cannot_be_reached_there_are_no_keys() {
    // A port that was free a moment ago, on which nobody listens.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let issuer = format!("http://127.0.0.1:{port}");
    let (provider, issuer) = (Liar::at(&issuer), issuer);
    let (_, providers) = open(&[provider.config()]).unwrap();
    assert!(providers.keys(&issuer, "a").await.is_none());
}
