//! The client for Rust programs against the real server, and beside the package in Node.

mod backend;
mod device;
mod example;
mod exchange;

use std::{fs, time::Duration};

use keyhaven_sdk::{Client, Credential, Endpoint, Error, Https, Limits, Minting, Tokio, context};

use crate::harness::Server;

/// What a user's device does is permitted to the `till`, and what a backend does to `billing`, which may
/// mint for others, too. The `stranger` may do nothing.
const POLICY: &str = r#"
permit (
  principal == Keyhaven::Principal::"billing",
  action in [Keyhaven::Action::"GenerateDataKey", Keyhaven::Action::"Decrypt", Keyhaven::Action::"MintTicket"],
  resource in Keyhaven::Keyring::"app"
);
permit (
  principal == Keyhaven::Principal::"billing",
  action == Keyhaven::Action::"MintEnrolmentToken",
  resource
);
permit (
  principal == Keyhaven::Principal::"till",
  action in [Keyhaven::Action::"DeliverDataKey", Keyhaven::Action::"UnsealDataKey"],
  resource in Keyhaven::Keyring::"app"
);
"#;

const KEY: &str = "app:invoices";

/// A server with a key, principals and a policy.
struct Deployment {
    server: Server,
    endpoint: Endpoint,
}

impl Deployment {
    fn start() -> Self {
        let server = Server::start();
        server.must(&["keyring", "create", "app"]);
        let key = ["key", "create", "invoices", "--keyring", "app", "--distribution", "data-keys"];
        server.must(&[&key[..], &["--max-offline-grace-s", "3600"]].concat());
        for name in ["billing", "till", "stranger"] {
            server.must(&["principal", "create", name]);
        }
        let put = server.run_with_input(&["policy", "put", "app", "-"], POLICY.as_bytes());
        assert!(put.status.success(), "{put:?}");
        let authority = fs::read(server.variable("KEYHAVEN_CACERT")).unwrap();
        let https = Https::trusting(&authority).unwrap();
        let endpoint = Endpoint::new(server.variable("KEYHAVEN_ADDR"), https, Tokio).unwrap();
        Self { server, endpoint }
    }

    /// A new API token of a principal.
    fn token(&self, principal: &str) -> Credential {
        let minted = self.server.json(&["principal", "token", principal]);
        Credential::new(minted["token"].as_str().unwrap()).unwrap()
    }

    /// A backend's client.
    fn client(&self, principal: &str) -> Client {
        Client::with_token(&self.endpoint, self.token(principal), Limits::default()).unwrap()
    }

    fn minting(&self) -> Minting {
        Minting::new(&self.endpoint, self.token("billing"))
    }
}

async fn encrypt(client: &Client, data: &[u8]) -> Result<Vec<u8>, Error> {
    client.encrypt(KEY, &context([("customer", "42")]).unwrap(), data).await
}

async fn decrypt(client: &Client, message: &[u8]) -> Result<Vec<u8>, Error> {
    client.decrypt(message, &context([("customer", "42")]).unwrap()).await
}

/// What the code of an error is.
fn code<T>(result: Result<T, Error>) -> String {
    result.err().map_or_else(|| "none".to_owned(), |error| error.code().to_owned())
}

/// Waits until something is so that the client's own tasks bring about.
async fn until(mut is_so: impl FnMut() -> bool) {
    in_time(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("it is done within 30 s")
}
