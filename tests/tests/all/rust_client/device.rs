//! A program that is an enrolled device: its data keys are sealed to it, and end when the server says.

use std::time::{Duration, Instant};

use keyhaven_sdk::{
    Client, Credential, Device, DeviceOperation, Enrol, Error, FileStore, Limits, MemoryStore,
    MessageInfo, Minting, SourceError, TicketTerms, context,
};
use tempfile::TempDir;

use super::{Deployment, KEY, code, decrypt, encrypt, in_time, until};

impl Deployment {
    async fn device(&self, subject: &str) -> Device {
        let minting = self.minting();
        let token = || async move { enrolment(&minting, subject).await };
        let (store, enrol) = (MemoryStore::default(), Enrol::new().named("a test"));
        Device::open(&self.endpoint, &store, &enrol, token).await.unwrap()
    }

    /// The client of a device, and the device.
    async fn device_client(&self, subject: &str, limits: Limits) -> (Client, Device) {
        let device = self.device(subject).await;
        let tickets = self.minting().for_subject(subject);
        let client = Client::with_device(&self.endpoint, device.clone(), tickets, limits).unwrap();
        (client, device)
    }
}

async fn enrolment(minting: &Minting, subject: &str) -> Result<Credential, SourceError> {
    let minted = minting.enrolment_token(subject, None).await.map_err(SourceError::new)?;
    Credential::new(minted.text).map_err(SourceError::new)
}

#[tokio::test]
async fn a_device_enrols_once_and_is_the_same_after_a_restart() {
    let deployment = Deployment::start();
    let folder = TempDir::new().unwrap();
    let store = FileStore::new(folder.path().join("till"));
    let minting = deployment.minting();
    let enrol = Enrol::new().named("till 4");
    let token = || async { enrolment(&minting, "till").await };
    let device = Device::open(&deployment.endpoint, &store, &enrol, token).await.unwrap();
    let tickets = minting.for_subject("till");
    let limits = Limits::default();
    let client =
        Client::with_device(&deployment.endpoint, device.clone(), tickets, limits).unwrap();
    let message = encrypt(&client, b"27 pounds").await.unwrap();
    drop(client);

    let pinned = Enrol::new().issued_by(*device.issuer());
    let nobody = || async { Err(SourceError::new("it is enrolled already")) };
    let again = Device::open(&deployment.endpoint, &store, &pinned, nobody).await.unwrap();
    assert_eq!(again.id(), device.id());
    let tickets = minting.for_subject("till");
    let client = Client::with_device(&deployment.endpoint, again, tickets, limits).unwrap();
    assert_eq!(decrypt(&client, &message).await.unwrap(), b"27 pounds");
    assert!(deployment.server.must(&["device", "list"]).contains("till 4"));

    let other = Enrol::new().issued_by([7; 32]);
    let refused = Device::open(&deployment.endpoint, &store, &other, nobody).await;
    assert_eq!(code(refused), "issuer_changed");
}

#[tokio::test]
async fn a_backend_and_a_device_open_each_others_messages() {
    let deployment = Deployment::start();
    let (device, _) = deployment.device_client("till", Limits::default()).await;
    let backend = deployment.client("billing");
    let data = vec![7; 300_000];
    let message = encrypt(&device, &data).await.unwrap();
    assert_eq!(decrypt(&backend, &message).await.unwrap(), data);
    let message = encrypt(&backend, &data).await.unwrap();
    assert_eq!(decrypt(&device, &message).await.unwrap(), data);
    let other = context([("customer", "43")]).unwrap();
    assert_eq!(code(device.decrypt(&message, &other).await), "context_mismatch");
}

#[tokio::test]
async fn when_its_key_is_disabled_leases_end_at_once_and_the_next_decryption_is_refused() {
    let deployment = Deployment::start();
    let (client, _) = deployment.device_client("till", Limits::default()).await;
    let about = context([("customer", "42")]).unwrap();
    let message = encrypt(&client, b"27 pounds").await.unwrap();
    decrypt(&client, &message).await.unwrap();
    let mut writing = client.encryption(KEY, &about).await.unwrap();
    writing.push(b"beginning").unwrap();
    assert_eq!(client.leases(), 3);

    deployment.server.must(&["key", "disable", KEY]);
    until(|| client.leases() == 0).await;
    assert_eq!(code(writing.push(b"more")), "key_stopped");
    // No ticket is minted for it: the refusal is in what the source of tickets says.
    let Err(Error::Tickets(said)) = decrypt(&client, &message).await else { panic!() };
    assert_eq!(said.get_ref().downcast_ref().map(Error::code), Some("key_disabled"));

    deployment.server.must(&["key", "enable", KEY]);
    assert_eq!(decrypt(&client, &message).await.unwrap(), b"27 pounds");
}

#[tokio::test]
async fn a_ticket_from_before_opens_nothing_once_the_key_is_disabled() {
    let deployment = Deployment::start();
    let (device, minting) = (deployment.device("till").await, deployment.minting());
    let about = context([("customer", "42")]).unwrap();
    let message = encrypt(&deployment.client("billing"), b"27 pounds").await.unwrap();
    let terms = TicketTerms::new("till", KEY, DeviceOperation::UnsealDataKey, &about);
    let minted = minting.ticket(&terms.for_device(device.id())).await.unwrap();
    let same = move |_| {
        let ticket = minted.text.clone();
        async { Credential::new(ticket).map_err(SourceError::new) }
    };
    let limits = Limits::default();
    let client = Client::with_device(&deployment.endpoint, device, same, limits).unwrap();
    deployment.server.must(&["key", "disable", KEY]);
    assert_eq!(code(decrypt(&client, &message).await), "key_disabled");
    deployment.server.must(&["key", "enable", KEY]);
    assert_eq!(decrypt(&client, &message).await.unwrap(), b"27 pounds");
    client.forget_keys();
    assert_eq!(code(decrypt(&client, &message).await), "ticket_spent");
}

#[tokio::test]
async fn a_revoked_device_loses_its_data_keys_and_gets_no_others() {
    let deployment = Deployment::start();
    let (client, device) = deployment.device_client("till", Limits::default()).await;
    let message = encrypt(&client, b"27 pounds").await.unwrap();
    assert_eq!(client.leases(), 1);
    deployment.server.must(&["device", "revoke", &device.id().to_string()]);
    until(|| client.leases() == 0).await;
    assert_eq!(code(decrypt(&client, &message).await), "device_revoked");
    // What it wrote is not lost for others.
    assert_eq!(decrypt(&deployment.client("billing"), &message).await.unwrap(), b"27 pounds");
}

#[tokio::test]
async fn a_rotation_is_pushed_so_that_a_next_message_names_the_new_version_and_streams_go_on() {
    let deployment = Deployment::start();
    let (client, _) = deployment.device_client("till", Limits::default()).await;
    let about = context([("customer", "42")]).unwrap();
    let old = encrypt(&client, b"old").await.unwrap();
    let mut writing = client.encryption(KEY, &about).await.unwrap();
    let mut stream = writing.push(b"begun before, ").unwrap();
    deployment.server.must(&["key", "rotate", KEY]);
    let version = |message: &[u8]| MessageInfo::read(message).unwrap().unwrap().version.number();
    // The held data key serves until the event arrives.
    let new = in_time(async {
        loop {
            let message = encrypt(&client, b"new").await.unwrap();
            if version(&message) == 2 {
                return message;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(decrypt(&client, &new.await).await.unwrap(), b"new");
    assert_eq!(decrypt(&client, &old).await.unwrap(), b"old");
    stream.extend(writing.push(b"ended after").unwrap());
    stream.extend(writing.finish().unwrap());
    assert_eq!(version(&stream), 1);
    assert_eq!(decrypt(&client, &stream).await.unwrap(), b"begun before, ended after");
}

#[tokio::test]
async fn a_stream_takes_longer_than_its_lease_as_long_as_the_server_renews_it() {
    let deployment = Deployment::start();
    let limits = Limits { max_age: Duration::from_secs(6), ..Limits::default() };
    let (client, _) = deployment.device_client("till", limits).await;
    let about = context([("customer", "42")]).unwrap();
    let mut writing = client.encryption(KEY, &about).await.unwrap();
    let mut message = writing.push(b"begun, ").unwrap();
    let began = Instant::now();
    until(|| began.elapsed() > Duration::from_secs(8)).await;
    message.extend(writing.push(b"ended").unwrap());
    message.extend(writing.finish().unwrap());
    assert_eq!(decrypt(&client, &message).await.unwrap(), b"begun, ended");
    let shown = deployment.server.json(&["audit", "show", "--operation", "DeliverDataKey"]);
    assert!(shown["entries"].as_array().unwrap().len() >= 2, "{shown}");

    let mut writing = client.encryption(KEY, &about).await.unwrap();
    deployment.server.must(&["policy", "remove", "app"]);
    until(|| writing.push(b"more").is_err()).await;
}

#[tokio::test]
async fn an_outsiders_device_and_another_devices_ticket_get_nothing() {
    let deployment = Deployment::start();
    let message = encrypt(&deployment.client("billing"), b"27 pounds").await.unwrap();
    let (stranger, strange) = deployment.device_client("stranger", Limits::default()).await;
    assert_eq!(code(decrypt(&stranger, &message).await), "access_denied");
    assert_eq!(code(encrypt(&stranger, b"data").await), "access_denied");

    let about = context([("customer", "42")]).unwrap();
    let terms = TicketTerms::new("till", KEY, DeviceOperation::UnsealDataKey, &about);
    let minted = deployment.minting().ticket(&terms.for_device(strange.id())).await.unwrap();
    let stolen = move |_| {
        let ticket = minted.text.clone();
        async { Credential::new(ticket).map_err(SourceError::new) }
    };
    let (device, limits) = (deployment.device("till").await, Limits::default());
    let client = Client::with_device(&deployment.endpoint, device, stolen, limits).unwrap();
    assert_eq!(code(decrypt(&client, &message).await), "ticket_wrong_device");
}

#[tokio::test]
async fn without_the_server_a_device_works_within_its_leases_and_then_says_what_is_wrong() {
    let deployment = Deployment::start();
    let (client, _) = deployment.device_client("till", Limits::default()).await;
    let message = encrypt(&client, b"27 pounds").await.unwrap();
    let Deployment { server, .. } = deployment;
    assert!(server.terminate().success());
    encrypt(&client, b"held").await.unwrap();
    client.forget_keys();
    let refused = decrypt(&client, &message).await.unwrap_err();
    assert!(matches!(refused, Error::Tickets(_)), "{refused}");
    assert!(refused.to_string().contains("try again"), "{refused}");
}

#[tokio::test]
async fn a_lease_with_a_grace_goes_on_beyond_its_end_while_the_server_is_gone() {
    let deployment = Deployment::start();
    let [max_age, offline_grace] = [4, 3600].map(Duration::from_secs);
    let limits = Limits { max_age, offline_grace, ..Limits::default() };
    let (client, _) = deployment.device_client("till", limits).await;
    let message = encrypt(&client, b"27 pounds").await.unwrap();
    decrypt(&client, &message).await.unwrap();
    deployment.server.signal("-KILL");
    let began = Instant::now();
    until(|| began.elapsed() > max_age + Duration::from_secs(1)).await;
    assert_eq!(decrypt(&client, &message).await.unwrap(), b"27 pounds");
    encrypt(&client, b"offline").await.unwrap();
    assert!(client.leases() > 0);
}

#[tokio::test]
async fn a_longer_grace_than_the_key_allows_is_refused() {
    let deployment = Deployment::start();
    let limits = Limits { offline_grace: Duration::from_secs(3601), ..Limits::default() };
    let (client, _) = deployment.device_client("till", limits).await;
    let Err(Error::Refused(refusal)) = encrypt(&client, b"data").await else { panic!() };
    assert!(refusal.detail.contains("grace"), "{refusal}");
}
