//! Who comes by an identity provider's token is who an administrator said, and as long as it is so.

use std::sync::Arc;

use keyhaven_shared::jwt::Algorithm;
use serde_json::json;

use super::world::{NOW, World, request};
use crate::{
    authenticate::{Presented, authenticate},
    caller::Caller,
    conformance::memory_issuer::MemoryIssuer,
    error::Error,
    federation::{Federation, TrustedIssuer},
    identity::Identity,
    op::{
        identity::{BindIdentity, ListIdentities, UnbindIdentity},
        keyring::ListKeyrings,
        principal::{DisablePrincipal, EnablePrincipal},
    },
};

const ISSUER: &str = "https://idp.example";
const READ: &str = "permit(principal == Keyhaven::Principal::\"writer\",
  action == Keyhaven::Action::\"ListKeyrings\", resource) when { context.via == \"oidc\" };";

struct Login {
    world: World,
    issuer: Arc<MemoryIssuer>,
    federation: Federation,
}

impl Login {
    async fn new(single_use: bool) -> Self {
        let world = World::new().await;
        world.user("writer").await;
        world.policy("read", READ).await.unwrap();
        let issuer = Arc::new(MemoryIssuer::new().unwrap());
        let trusted = TrustedIssuer {
            issuer: ISSUER.to_owned(),
            audience: "keyhaven".to_owned(),
            other_audiences: vec![],
            algorithms: vec![Algorithm::EdDsa],
            max_lifetime_s: 3600,
            single_use,
        };
        let federation = Federation::new(vec![trusted], Arc::clone(&issuer) as _);
        Self { world, issuer, federation }
    }

    fn token(&self, subject: &str, jti: &str) -> String {
        let claims = json!({ "iss": ISSUER, "sub": subject, "aud": "keyhaven", "exp": NOW + 300,
            "iat": NOW, "jti": jti });
        self.issuer
            .sign("EdDSA", r#"{"alg":"EdDSA","kid":"ed25519"}"#, &claims.to_string())
            .unwrap()
    }

    async fn caller(&self, subject: &str) -> Result<Caller, Error> {
        let token = self.token(subject, "1");
        let presented = Presented::Oidc(&token, &self.federation);
        authenticate(self.world.engine.services(), presented, request()).await
    }

    async fn reads(&self, caller: &Caller) -> Result<(), Error> {
        let list = ListKeyrings { after: String::new(), limit: 10 };
        self.world.engine.execute(caller, &list).await.map(drop)
    }

    async fn bind(&self, principal: &str, subject: &str) -> Result<(), Error> {
        let (principal, identity) = (principal.to_owned(), identity(subject));
        let bind = BindIdentity { principal, identity };
        self.world.engine.execute(&self.world.admin().await, &bind).await.map(drop)
    }

    async fn unbind(&self, subject: &str) -> Result<(), Error> {
        let unbind = UnbindIdentity { identity: identity(subject).id() };
        self.world.engine.execute(&self.world.admin().await, &unbind).await.map(drop)
    }
}

fn identity(subject: &str) -> Identity {
    Identity { issuer: ISSUER.to_owned(), subject: subject.to_owned() }
}

#[tokio::test]
async fn only_who_was_bound_is_somebody_and_the_log_says_how() {
    let login = Login::new(false).await;
    assert_eq!(login.caller("ann").await.err(), Some(Error::Unauthenticated));
    login.bind("writer", "ann").await.unwrap();
    let bound = login.world.last_audit().await;
    let id = identity("ann").id();
    assert_eq!(bound["operation"], "BindIdentity");
    assert_eq!(bound["subject"], format!("writer {id}"));
    let ann = login.caller("ann").await.unwrap();
    assert_eq!(login.reads(&ann).await, Ok(()));
    let entry = login.world.last_audit().await;
    assert_eq!((&entry["principal"], &entry["via"]), (&json!("writer"), &json!("oidc")));
    assert_eq!(entry["credential"], id.to_string());
    for other in ["Ann", "ann ", "an", "ann\0", "\u{430}nn", "a\u{301}nn", "writer", "admin"] {
        assert_eq!(login.caller(other).await.err(), Some(Error::Unauthenticated), "{other}");
    }
    // The policy permits it by this credential; by an API token the same principal may not.
    let token = login.world.user_token("other").await;
    let other = login.world.caller(Presented::Token(&token)).await.unwrap();
    assert_eq!(login.reads(&other).await, Err(Error::Denied));
}

#[tokio::test]
async fn an_identity_is_one_principal_at_a_time() {
    let login = Login::new(false).await;
    login.world.user("other").await;
    login.bind("writer", "ann").await.unwrap();
    for principal in ["writer", "other"] {
        assert!(matches!(login.bind(principal, "ann").await, Err(Error::Conflict(_))));
    }
    assert_eq!(login.bind("nobody", "bob").await, Err(Error::NotFound("principal")));
    assert!(matches!(login.bind("writer", "").await, Err(Error::InvalidRequest(_))));
    login.unbind("ann").await.unwrap();
    assert_eq!(login.unbind("ann").await, Err(Error::NotFound("identity")));
    login.bind("other", "ann").await.unwrap();
    assert_eq!(login.caller("ann").await.unwrap().name(), "other");
    let list = ListIdentities { after: String::new(), limit: 10 };
    let listed = login.world.engine.execute(&login.world.admin().await, &list).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].principal.as_str(), listed[0].subject.as_str()), ("other", "ann"));
}

#[tokio::test]
async fn what_was_begun_by_an_identity_that_is_unbound_or_disabled_is_refused() {
    let login = Login::new(false).await;
    login.bind("writer", "ann").await.unwrap();
    let begun = login.caller("ann").await.unwrap();
    login.unbind("ann").await.unwrap();
    assert!(login.reads(&begun).await.is_err());
    login.bind("writer", "ann").await.unwrap();
    assert!(login.reads(&begun).await.is_err(), "the binding is another one");
    let begun = login.caller("ann").await.unwrap();
    let admin = login.world.admin().await;
    let name = || "writer".to_owned();
    login.world.engine.execute(&admin, &DisablePrincipal { name: name() }).await.unwrap();
    assert!(login.reads(&begun).await.is_err());
    assert_eq!(login.caller("ann").await.err(), Some(Error::Denied));
    login.world.engine.execute(&admin, &EnablePrincipal { name: name() }).await.unwrap();
    assert_eq!(login.reads(&login.caller("ann").await.unwrap()).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_replays_of_a_token_for_one_use_exactly_one_is_accepted() {
    let login = Arc::new(Login::new(true).await);
    login.bind("writer", "ann").await.unwrap();
    let token: Arc<str> = login.token("ann", "once").into();
    let tries = (0..1000).map(|_| {
        let (login, token) = (Arc::clone(&login), Arc::clone(&token));
        tokio::spawn(async move {
            let services = login.world.engine.services();
            let presented = Presented::Oidc(&token, &login.federation);
            let caller = authenticate(services, presented, request()).await.unwrap();
            login.reads(&caller).await
        })
    });
    let mut accepted = 0;
    for tried in tries.collect::<Vec<_>>() {
        match tried.await.unwrap() {
            Ok(()) => accepted += 1,
            Err(error) => assert_eq!(error, Error::Unauthenticated),
        }
    }
    assert_eq!(accepted, 1);
    let other = login.token("ann", "another");
    let presented = Presented::Oidc(&other, &login.federation);
    let caller = authenticate(login.world.engine.services(), presented, request()).await.unwrap();
    assert_eq!(login.reads(&caller).await, Ok(()));
}
