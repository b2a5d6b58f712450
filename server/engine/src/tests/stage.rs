//! Every operation with arguments that work, as a list to go through.

use std::{collections::BTreeMap, future::Future, pin::Pin};

use keyhaven_shared::{
    ids::TokenId,
    key_spec::{Distribution, KeySpec},
    operation::Operation,
};
use zeroize::Zeroizing;

use super::world::{Device, World, alias_of, context, wish};
use crate::{
    act::Act,
    caller::Caller,
    error::Error,
    identity::Identity,
    op::{
        audit::ReadAudit,
        crypt::{Decrypt, Encrypt, ReEncryptFrom, ReEncryptTo},
        data_key::{DeliverDataKey, GenerateDataKey, UnsealDataKey},
        device::{EnrolDevice, ListDevices, RevokeDevice},
        identity::{BindIdentity, ListIdentities, UnbindIdentity},
        key::{CreateKey, DescribeKey, ListKeys, RotateKey},
        key_name::{RemoveAlias, SetAlias, TagKey},
        key_state::{CancelKeyDestruction, DisableKey, EnableKey, ScheduleKeyDestruction},
        keyring::{CreateKeyring, DescribeKeyring, ListKeyrings},
        policy::{ListPolicies, PutPolicy, RemovePolicy},
        principal::{CreatePrincipal, DisablePrincipal, EnablePrincipal, ListPrincipals},
        shred::DestroyKey,
        ticket::{MintEnrolmentToken, MintTicket},
        token::{IssueToken, RevokeToken},
    },
    port::store::{Kind, Row},
    record::{Key, policies_place, version_count_place},
};

/// The outcome of an operation, later; its answer is dropped.
pub(crate) type Done<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// Any operation.
pub(crate) trait Doable {
    fn operation(&self) -> Operation;
    fn run<'a>(&'a self, world: &'a World, caller: &'a Caller) -> Done<'a>;
}

impl<A: Act> Doable for A {
    fn operation(&self) -> Operation {
        A::OPERATION
    }

    fn run<'a>(&'a self, world: &'a World, caller: &'a Caller) -> Done<'a> {
        Box::pin(async move { world.engine.execute(caller, self).await.map(drop) })
    }
}

pub(crate) type List = Vec<Box<dyn Doable>>;

/// A user's devices may ask for data keys.
pub(crate) const USERS: &str = "permit(principal == Keyhaven::Principal::\"writer\",
  action in [Keyhaven::Action::\"DeliverDataKey\", Keyhaven::Action::\"UnsealDataKey\"], resource);";

/// An installation with one of everything: the user `writer` with a device and a token, the key `photos`
/// and the key `leaving`, whose day of destruction has come.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) admin: Caller,
    pub(crate) photos: Key,
    pub(crate) device: Device,
    pub(crate) token: TokenId,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) encrypted_data_key: Vec<u8>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        world.user("writer").await;
        let photos = world.key("photos").await;
        world.key("leaving").await;
        world.policy("users", USERS).await.unwrap();
        let (admin, device) = (world.admin().await, world.device(1, "writer").await);
        let ciphertext = world.encrypt(&admin, "photos").await.unwrap();
        let ticket = world.ticket("writer", |_| {}).await;
        let delivered = world.deliver(&device, &ticket, |_| {}).await.unwrap();
        let encrypted_data_key = delivered.encrypted_data_key;
        let issue = IssueToken { principal: "writer".into(), expires_in_days: 1 };
        let token = world.engine.execute(&admin, &issue).await.unwrap().id;
        world.engine.execute(&admin, &schedule("leaving")).await.unwrap();
        Self { world, admin, photos, device, token, ciphertext, encrypted_data_key }
    }

    /// Those that change rows, in an order in which each can follow the ones before it.
    pub(crate) fn changing(&self) -> List {
        let photos = || alias_of("photos");
        let leaving = || alias_of("leaving");
        let tags = BTreeMap::from([("team".to_owned(), "app".to_owned())]);
        let forbid = "forbid(principal == Keyhaven::Principal::\"nobody\", action, resource);";
        vec![
            Box::new(CreateKeyring { name: "fresh".into() }),
            Box::new(create_key("fresh")),
            Box::new(RotateKey { key: photos() }),
            Box::new(SetAlias { key: photos(), alias: "pictures".into() }),
            Box::new(RemoveAlias { key: photos(), alias: "pictures".into() }),
            Box::new(TagKey { key: photos(), tags }),
            Box::new(DisableKey { key: photos() }),
            Box::new(EnableKey { key: photos() }),
            Box::new(CancelKeyDestruction { key: leaving() }),
            Box::new(schedule("leaving")),
            Box::new(DestroyKey { key: leaving() }),
            Box::new(CreatePrincipal { name: "fresh".into(), groups: vec!["users".into()] }),
            Box::new(DisablePrincipal { name: "writer".into() }),
            Box::new(EnablePrincipal { name: "writer".into() }),
            Box::new(IssueToken { principal: "writer".into(), expires_in_days: 1 }),
            Box::new(RevokeToken { token: self.token }),
            Box::new(BindIdentity { principal: "writer".into(), identity: identity() }),
            Box::new(UnbindIdentity { identity: identity().id() }),
            Box::new(PutPolicy { name: "spare".into(), text: forbid.into() }),
            Box::new(RemovePolicy { name: "spare".into() }),
            Box::new(RevokeDevice { device: self.device.keys.thumbprint() }),
        ]
    }

    /// Those that use a key and change no row.
    pub(crate) fn using(&self) -> List {
        let key = || alias_of("photos");
        let plaintext = || Zeroizing::new(b"secret".to_vec());
        let about = || context("about", "test");
        let (mine, ciphertext) = (context("file", "1"), || self.ciphertext.clone());
        let decrypt = || Decrypt { key: key(), ciphertext: ciphertext(), context: about() };
        let encrypt = || Encrypt { key: key(), plaintext: plaintext(), context: about() };
        vec![
            Box::new(encrypt()),
            Box::new(decrypt()),
            Box::new(ReEncryptFrom(decrypt())),
            Box::new(ReEncryptTo(encrypt())),
            Box::new(GenerateDataKey { key: key(), context: mine }),
        ]
    }

    /// Those that show something or mint a capability.
    pub(crate) fn asking(&self) -> List {
        let limit = 10;
        let (after, keyring) = (String::new, || "default".to_owned());
        let ticket = MintTicket {
            key: alias_of("photos"),
            subject: "writer".into(),
            operations: vec![Operation::DeliverDataKey],
            context: BTreeMap::new(),
            context_exact: false,
            device: None,
            uses: 1,
            expires_in_s: 60,
        };
        let subject = "writer".to_owned();
        vec![
            Box::new(ListKeyrings { after: after(), limit }),
            Box::new(DescribeKeyring { keyring: keyring() }),
            Box::new(ListKeys { keyring: keyring(), after: after(), limit }),
            Box::new(DescribeKey { key: alias_of("photos") }),
            Box::new(ticket),
            Box::new(MintEnrolmentToken { subject, origin: None, expires_in_s: 60 }),
            Box::new(ListDevices { after: after(), limit }),
            Box::new(ListPrincipals { after: after(), limit }),
            Box::new(ListIdentities { after: after(), limit }),
            Box::new(ListPolicies),
            Box::new(ReadAudit),
        ]
    }

    /// Those that need more than a token: with one, they are refused even where policies permit them.
    pub(crate) fn for_devices(&self) -> List {
        let key = || alias_of("photos");
        let context = || context("file", "1");
        let encrypted_data_key = self.encrypted_data_key.clone();
        let keys = Device::new(9).keys;
        vec![
            Box::new(DeliverDataKey { key: key(), context: context(), wish: wish() }),
            Box::new(UnsealDataKey {
                key: key(),
                encrypted_data_key,
                context: context(),
                wish: wish(),
            }),
            Box::new(EnrolDevice { keys, origin: None, name: None }),
        ]
    }

    /// Everything that can be asked for with a token.
    pub(crate) fn by_token(&self) -> List {
        let mut all = self.asking();
        all.extend(self.using());
        all.extend(self.changing());
        all
    }
}

pub(crate) fn create_key(alias: &str) -> CreateKey {
    CreateKey {
        keyring: "default".into(),
        alias: Some(alias.into()),
        spec: KeySpec::Aes256Gcm,
        distribution: Distribution::DataKeys,
        max_offline_grace_s: 60,
        tags: BTreeMap::new(),
    }
}

/// Somebody elsewhere.
fn identity() -> Identity {
    Identity { issuer: "https://idp.example".into(), subject: "writer-1".into() }
}

/// Schedules a destruction that is due at once.
pub(crate) fn schedule(alias: &str) -> ScheduleKeyDestruction {
    ScheduleKeyDestruction { key: alias_of(alias), waiting_days: 0, now: true }
}

/// Everything in the store but the log, with the rows that only count.
pub(crate) async fn rows(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    let directory = &world.engine.services().directory;
    for place in [policies_place(), version_count_place("default")] {
        rows.push(directory.read(place).await.unwrap());
    }
    for stored in Kind::ALL.iter().flat_map(|kind| world.store.rows(*kind)) {
        rows.push(directory.read(stored.place).await.unwrap());
    }
    rows
}
