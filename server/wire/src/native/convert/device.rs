//! Devices. Of a device's row, its public keys are not told: who it is, its id says.

use keyhaven_engine::{
    error::Error,
    once::Once,
    op::{
        device::{self, ListDevices, RevokeDevice},
        ticket::{MintEnrolmentToken, Minted},
    },
    record::DeviceRecord,
};
use keyhaven_shared::{
    api::{
        bytes::Base64Bytes,
        delivery::{self as api, Device, DeviceList, EnrolDevice, EnrolledDevice, EnrolmentToken},
        keys::Empty,
    },
    device::DevicePublicKeys,
    operation::Operation,
};

use super::next;
use crate::native::{
    arguments::{AFTER, Arguments},
    body::NoBody,
    error::Refusal,
    routes::{Call, Later, Line, Route},
};

/// `POST /enrolment-tokens`.
pub(crate) fn mint_token(
    _: &Arguments,
    body: api::MintEnrolmentToken,
) -> Result<MintEnrolmentToken, Refusal> {
    let api::MintEnrolmentToken { subject, origin, expires_in_s } = body;
    Ok(MintEnrolmentToken { subject, origin, expires_in_s })
}

/// The enrolment token. It is shown here alone.
pub(crate) fn token(_: &MintEnrolmentToken, minted: Minted) -> EnrolmentToken {
    let Minted { token, id, expires_at, key: _ } = minted;
    EnrolmentToken { token, id: id.to_string(), expires_at }
}

/// The keys that a device brings.
///
/// Called twice for one request: to check the device's proof, and to enrol them. They are parsed
/// from the same bytes both times.
///
/// # Errors
/// [`Refusal::Malformed`] for bytes of another layout, points off the curve or of low order, or
/// ML-KEM keys beyond the modulus.
pub(crate) fn keys(body: &EnrolDevice) -> Result<DevicePublicKeys, Refusal> {
    DevicePublicKeys::parse(&body.keys.0).map_err(|error| Refusal::Malformed(error.to_string()))
}

/// `POST /devices`: the answer needs the deployment, which no act's answer has.
pub(crate) fn enrol_route(line: Line) -> Route {
    line.runs::<EnrolDevice, _>((Operation::EnrolDevice, None), enrol)
}

/// Enrols the device that signed the request.
fn enrol(call: Call<'_>) -> Later<'_, EnrolledDevice> {
    Box::pin(async move {
        let body: EnrolDevice = call.bytes.read()?;
        let keys = keys(&body)?;
        let act = device::EnrolDevice { keys, origin: body.origin, name: body.name };
        // The token is good once: whoever lost the answer on the way sends the same again.
        let once = Once::by_enrolment(call.caller).ok_or(Error::Denied)?;
        let enrolled = call.wire.engine.execute_once(call.caller, (&act, &once)).await?;
        Ok(EnrolledDevice {
            device: enrolled.device.to_string(),
            enrolment_epoch: enrolled.enrolment_epoch,
            // Bound into everything sealed to the device, so it has to know it from the beginning.
            deployment: call.wire.engine.services().deployment.to_string(),
            issuer: Base64Bytes(enrolled.issuer.to_vec()),
            server_time: enrolled.server_time,
        })
    })
}

/// `GET /devices`.
///
/// # Errors
/// For a `limit` that is no number from 1 to 1000.
pub(crate) fn list(arguments: &Arguments, _: NoBody) -> Result<ListDevices, Refusal> {
    Ok(ListDevices { after: arguments.text(AFTER), limit: arguments.limit()? })
}

/// A page of devices, in order of id, revoked ones too.
pub(crate) fn listed(asked: &ListDevices, rows: Vec<(String, DeviceRecord)>) -> DeviceList {
    let next = next(&rows, asked.limit, |(id, _)| id);
    DeviceList {
        devices: rows.into_iter().map(|(id, record)| document(id, record)).collect(),
        next,
    }
}

/// `POST /devices/{device}/revoke`.
///
/// # Errors
/// For a part of the path that is no device's id.
pub(crate) fn revoke(arguments: &Arguments, _: Empty) -> Result<RevokeDevice, Refusal> {
    Ok(RevokeDevice { device: arguments.id("device")? })
}

/// The device, with the time since which it is revoked.
pub(crate) fn revoked(asked: &RevokeDevice, record: DeviceRecord) -> Device {
    document(asked.device.to_string(), record)
}

/// What of a row is told.
fn document(device: String, record: DeviceRecord) -> Device {
    // Every field is named: one that is added to the row has to be shown or left out here.
    let DeviceRecord { owner, name, enrolled_at, revoked_at, keys: _, enrolment_epoch: _ } = record;
    Device { device, owner, name, enrolled_at, revoked_at }
}
