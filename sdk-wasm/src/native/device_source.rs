//! Data keys for an enrolled device: asked for under a ticket, verified, opened, leased.

use std::{sync::Arc, time::Duration};

use keyhaven_shared::{
    api::{
        bytes::Base64Bytes,
        delivery::{DeliverDataKey, UnsealDataKey},
    },
    context::EncryptionContext,
    delivery::{self, Delivery, Expectations, Recipient, UsageFlags},
    secret::DataKey,
};
use rand_core::Rng;
use serde::Serialize;

use super::{
    api::{self, Scheme, Shown},
    clock::ServerClock,
    device::Device,
    documents::{SealedDataKey, pairs},
    endpoint::Endpoint,
    error::{Error, IntegrityFault},
    held_key::{HeldKey, SealedKey},
    key_name::KeyName,
    lease::Lease,
    leases::{Heard, Leases},
    limits::Limits,
    proof::Signer,
    tickets::{DeviceOperation, TicketRequest, TicketSource},
};
use crate::entropy::make_rng;

/// Asks as a device. Nothing that the transport or a relay says is believed: only what the server signed.
pub(crate) struct DeviceSource {
    pub(crate) endpoint: Endpoint,
    pub(crate) device: Device,
    /// The application's: it decides, before the server does, whether its user may have this data key.
    pub(crate) tickets: Box<dyn TicketSource>,
    pub(crate) clock: Arc<ServerClock>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) limits: Limits,
}

/// What is asked for: the answer must match it.
struct Wish<'a> {
    operation: DeviceOperation,
    /// As the application named it to encrypt; its id to decrypt.
    key: &'a KeyName,
    context: &'a EncryptionContext,
    /// Ties the answer to this request: a delivery that was recorded answers no later one.
    nonce: [u8; 32],
    /// What the data key is to be used for. An answer that grants less is refused.
    flags: UsageFlags,
}

/// What came: not held yet.
struct Delivered {
    key: DataKey,
    granted: delivery::Lease,
    encrypted_data_key: Vec<u8>,
    /// What of the server's word was known when it was asked for.
    heard: Heard,
}

impl DeviceSource {
    /// A new data key, under the newest version of the key.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`IntegrityFault::Delivery`] when a key that was named by its id is another in the
    /// answer.
    pub(crate) async fn fresh(
        &self,
        key: &KeyName,
        context: &EncryptionContext,
    ) -> Result<Arc<HeldKey>, Error> {
        let (operation, flags) = (DeviceOperation::DeliverDataKey, UsageFlags::ENCRYPT);
        let wish = Wish { operation, key, context, nonce: make_nonce()?, flags };
        let document = DeliverDataKey {
            nonce: Base64Bytes(wish.nonce.to_vec()),
            context: pairs(context),
            usage: words(flags),
            lease_s: self.limits.lease_s(),
            offline_grace_s: self.limits.grace_s(),
        };
        let delivered = self.ask(&wish, &document).await?;
        let granted = &delivered.granted;
        if key.id().is_some_and(|asked| asked != granted.key) {
            return Err(IntegrityFault::Delivery.into());
        }
        let encrypted = delivered.encrypted_data_key.clone();
        let sealed = SealedKey::answered(granted.key, granted.version, encrypted)?;
        self.hold(sealed, delivered)
    }

    /// A message's data key, opened by the server under the message's context.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`IntegrityFault::Delivery`] when the answer is about another key or version than
    /// the message names.
    pub(crate) async fn opened(
        &self,
        sealed: SealedKey,
        context: &EncryptionContext,
    ) -> Result<Arc<HeldKey>, Error> {
        let (operation, flags) = (DeviceOperation::UnsealDataKey, UsageFlags::DECRYPT);
        let key = KeyName::from(sealed.key);
        let wish = Wish { operation, key: &key, context, nonce: make_nonce()?, flags };
        let document = UnsealDataKey {
            encrypted_data_key: Base64Bytes(sealed.ciphertext.clone()),
            nonce: Base64Bytes(wish.nonce.to_vec()),
            context: pairs(context),
            usage: words(flags),
            lease_s: self.limits.lease_s(),
            offline_grace_s: self.limits.grace_s(),
        };
        let delivered = self.ask(&wish, &document).await?;
        let granted = &delivered.granted;
        if (granted.key, granted.version) != (sealed.key, sealed.version) {
            return Err(IntegrityFault::Delivery.into());
        }
        self.hold(sealed, delivered)
    }

    /// One request and its answer: ticket, proof, delivery, verification, key agreement.
    ///
    /// # Errors
    /// [`Error::Tickets`], [`Error::Refused`], [`Error::Network`], and [`Error::Integrity`] for an answer that
    /// is not this deployment's, for this request and device.
    async fn ask(
        &self,
        wish: &Wish<'_>,
        document: &(impl Serialize + Sync),
    ) -> Result<Delivered, Error> {
        let want = TicketRequest {
            operation: wish.operation,
            key: wish.key.as_str().to_owned(),
            context: wish.context.clone(),
            device: self.device.id(),
        };
        let ticket = async { self.tickets.ticket(want).await.map_err(Error::Tickets) };
        let ticket = self.endpoint.in_time(ticket).await?;
        // Taken before the request leaves: what the server says from here on may be about its answer, and its
        // time is counted from here, so that the estimate errs towards the future.
        let (sent, heard) = (self.clock.moment(), self.leases.heard());
        let signer = Signer { keys: self.device.keys(), created: self.clock.seconds() };
        let shown = Shown::Pass(Scheme::Ticket, &ticket, signer);
        let path = format!("/keys/{}/{}", wish.key.segment(), wish.operation.path());
        let answer = api::post(&self.endpoint, &path, document, shown).await?;
        let delivered = self.open(wish, answer, heard)?;
        self.clock.observe(Duration::from_secs(delivered.granted.issued_at), sent);
        Ok(delivered)
    }

    /// Believes an answer only as far as it is signed, for this request, and sealed to this device.
    fn open(
        &self,
        wish: &Wish<'_>,
        answer: SealedDataKey,
        heard: Heard,
    ) -> Result<Delivered, IntegrityFault> {
        let enrolment = self.device.enrolment();
        let expected = Expectations {
            recipient: Recipient {
                deployment: enrolment.deployment,
                keyring: answer.keyring,
                keys: self.device.keys().public(),
                enrolment_epoch: enrolment.epoch,
            },
            nonce: wish.nonce,
            key: answer.key,
            version: Some(answer.version),
            context_hash: wish.context.hash(),
            flags: wish.flags,
            max_lease: self.limits.lease_s().into(),
            max_offline_grace: self.limits.grace_s(),
        };
        // One error for whatever is wrong: what differs would tell a relay how close its forgery came.
        let delivery = Delivery::parse(&answer.delivery.0).map_err(|_| IntegrityFault::Delivery)?;
        let verified = delivery
            .verify(&expected, &enrolment.issuer, self.clock.seconds())
            .map_err(|_| IntegrityFault::Delivery)?;
        let (key, granted) = self.device.keys().open(verified)?;
        if !granted.flags.contains(wish.flags) {
            return Err(IntegrityFault::Usage);
        }
        Ok(Delivered { key, granted, encrypted_data_key: answer.encrypted_data_key.0, heard })
    }

    /// Puts a delivered data key under its lease.
    ///
    /// # Errors
    /// [`Error::LeaseEnded`] when the server ended it while the answer was on its way.
    fn hold(&self, sealed: SealedKey, delivered: Delivered) -> Result<Arc<HeldKey>, Error> {
        let server = Arc::clone(self.endpoint.reachability());
        let lease = Arc::new(Lease::new(&delivered.granted, server));
        self.leases.start(&lease, delivered.heard);
        HeldKey::leased(sealed, delivered.key, lease)
    }
}

/// Uses as requests name them.
fn words(flags: UsageFlags) -> Vec<String> {
    flags.words().map(str::to_owned).collect()
}

/// Draws the nonce of one request.
///
/// # Errors
/// [`Error::Unsupported`] when the system gives no randomness.
fn make_nonce() -> Result<[u8; 32], Error> {
    let mut nonce = [0; 32];
    make_rng()?.fill_bytes(&mut nonce);
    Ok(nonce)
}
