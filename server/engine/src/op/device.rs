//! Devices: browsers and other clients that data keys are sealed to.
//!
//! A device is its public keys; its id is a hash of them. The private halves never come here. Who
//! has them is the device, which nothing on this side can tell from a thief of both.

use keyhaven_shared::{
    api::bytes::Base64Bytes, device::DevicePublicKeys, ids::DeviceId, lease_event::LeaseEnd,
    operation::Operation,
};

use crate::{
    act::{Act, Effect, Scene},
    audit::Event,
    caller::Credential,
    directory::put,
    error::{EnrolmentFault, Error},
    once::{self, Kept, Repeatable},
    port::store::Epoch,
    record::{DeviceRecord, device_place},
    services::Services,
};

/// Registers a device's public keys. Holding an enrolment token is the right to do this, once; no
/// policy is asked. The device belongs to the token's subject for good.
pub struct EnrolDevice {
    /// Checked keys. That they are usable; that the caller has the private halves, its proof has
    /// shown for the authentication key alone.
    pub keys: DevicePublicKeys,
    /// The page's origin, when it is a page. As the page says.
    pub origin: Option<String>,
    /// A name for people. At most 64 characters; nothing is decided by it.
    pub name: Option<String>,
}

/// What an enrolled device needs to know. Over TLS, and not signed: the first thing a device pins,
/// it must take on trust or compare with what it was configured with.
#[derive(Debug)]
pub struct Enrolled {
    /// The device.
    pub device: DeviceId,
    /// Bound into everything sealed to it.
    pub enrolment_epoch: u64,
    /// The HSM's issuer key. Ed25519, 32 bytes; the device pins it.
    pub issuer: [u8; 32],
    /// Seconds since the Unix epoch.
    pub server_time: u64,
}

impl Act for EnrolDevice {
    type Answer = Enrolled;
    const OPERATION: Operation = Operation::EnrolDevice;

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<Enrolled>, Error> {
        // A policy that permits `EnrolDevice` is not enough: only the token says whose device it
        // is.
        let Credential::Enrolment(claims) = &scene.caller.credential else {
            return Err(Error::Enrolment(EnrolmentFault::Invalid));
        };
        // It helps against a token that is used by mistake elsewhere, not against a program that
        // lies.
        if claims.origin.is_some() && claims.origin != self.origin {
            return Err(Error::Enrolment(EnrolmentFault::WrongOrigin));
        }
        if self.name.as_ref().is_some_and(|name| name.chars().count() > 64) {
            return Err(Error::InvalidRequest(
                "a device's name has at most 64 characters".to_owned(),
            ));
        }
        let device = self.keys.thumbprint();
        let place = device_place(device);
        // Also after it was revoked: the same keys never come back under a new owner.
        if services.directory.epoch(place.clone()).await? != Epoch::ABSENT {
            return Err(Error::Conflict("this device's keys were enrolled before: make new ones"));
        }
        let record = DeviceRecord {
            owner: claims.subject.clone(),
            keys: Base64Bytes(self.keys.encode()),
            name: self.name.clone(),
            enrolment_epoch: 1,
            enrolled_at: scene.permit.now(),
            revoked_at: None,
        };
        let write = put(place, Epoch::ABSENT, &record)?;
        let answer = Enrolled {
            device,
            enrolment_epoch: record.enrolment_epoch,
            // From the HSM and not from the store, which could have been edited.
            issuer: services.issuer.public_key().await?,
            server_time: scene.permit.now(),
        };
        let detail = Event { device: Some(device.to_string()), ..Event::default() };
        Ok(Effect::answer(answer).writing(vec![write]).noting(detail))
    }
}

impl Repeatable for EnrolDevice {
    fn keep(answer: &Enrolled) -> Result<Kept, Error> {
        Kept::of(&(answer.enrolment_epoch, Base64Bytes(answer.issuer.to_vec()), answer.server_time))
    }

    fn again(&self, _: &Services, kept: serde_json::Value) -> Result<Enrolled, Error> {
        let (enrolment_epoch, issuer, server_time): (u64, Base64Bytes, u64) = once::told(kept)?;
        // Its own keys signed this request, so it is the device of then.
        let device = self.keys.thumbprint();
        let issuer = issuer.0.try_into().map_err(|_| Error::Internal)?;
        Ok(Enrolled { device, enrolment_epoch, issuer, server_time })
    }
}

/// Lists enrolled devices. In order of id, revoked ones too, of all owners.
#[derive(Debug)]
pub struct ListDevices {
    /// Ids after this one.
    pub after: String,
    /// At most so many.
    pub limit: usize,
}

impl Act for ListDevices {
    type Answer = Vec<(String, DeviceRecord)>;
    const OPERATION: Operation = Operation::ListDevices;

    async fn act(&self, services: &Services, _: &Scene<'_>) -> Result<Effect<Self::Answer>, Error> {
        let rows = services.directory.list::<DeviceRecord>(("", &self.after), self.limit).await?;
        let devices = rows.into_iter().map(|row| (row.place.id, DeviceRecord::clone(&row.record)));
        Ok(Effect::answer(devices.collect()))
    }
}

/// Ends a device's enrolment for good. Its requests that are under way are refused by the gate. It
/// keeps the data keys it holds; its stream of events tells it to drop them, and ends. Repeating it
/// is no error and keeps the first date.
#[derive(Debug)]
pub struct RevokeDevice {
    /// Which.
    pub device: DeviceId,
}

impl Act for RevokeDevice {
    type Answer = DeviceRecord;
    const OPERATION: Operation = Operation::RevokeDevice;

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<DeviceRecord>, Error> {
        let place = device_place(self.device);
        let row = services.directory.load::<DeviceRecord>(place).await?;
        let row = row.ok_or(Error::NotFound("device"))?;
        let revoked_at = row.record.revoked_at.or(Some(scene.permit.now()));
        let record = DeviceRecord { revoked_at, ..DeviceRecord::clone(&row.record) };
        let write = put(row.place, row.epoch, &record)?;
        let detail = Event { device: Some(self.device.to_string()), ..Event::default() };
        let ends = vec![LeaseEnd::DeviceRevoked(self.device)];
        Ok(Effect::answer(record).writing(vec![write]).ending(ends).noting(detail))
    }
}

/// Follows the ends of the leases that the calling device holds. The opening is the operation, and
/// is recorded; what comes on the stream afterwards is not.
#[derive(Debug)]
pub struct WatchLeases;

impl Act for WatchLeases {
    type Answer = DeviceId;
    const OPERATION: Operation = Operation::WatchLeases;

    async fn act(&self, _: &Services, scene: &Scene<'_>) -> Result<Effect<DeviceId>, Error> {
        // Its own leases alone: the request cannot name another device.
        let device = scene.caller.device.as_ref().ok_or(Error::Denied)?;
        Ok(Effect::answer(device.id))
    }
}
