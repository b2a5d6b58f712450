//! Devices.

use keyhaven_engine::{
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

pub(crate) fn mint_token(
    _: &Arguments,
    body: api::MintEnrolmentToken,
) -> Result<MintEnrolmentToken, Refusal> {
    let api::MintEnrolmentToken { subject, origin, expires_in_s } = body;
    Ok(MintEnrolmentToken { subject, origin, expires_in_s })
}

pub(crate) fn token(_: &MintEnrolmentToken, minted: Minted) -> EnrolmentToken {
    let Minted { token, id, expires_at } = minted;
    EnrolmentToken { token, id: id.to_string(), expires_at }
}

/// The keys that a device brings.
pub(crate) fn keys(body: &EnrolDevice) -> Result<DevicePublicKeys, Refusal> {
    DevicePublicKeys::parse(&body.keys.0).map_err(|error| Refusal::Malformed(error.to_string()))
}

pub(crate) fn enrol_route(line: Line) -> Route {
    line.runs::<EnrolDevice, _>((Operation::EnrolDevice, None), enrol)
}

fn enrol(call: Call<'_>) -> Later<'_, EnrolledDevice> {
    Box::pin(async move {
        let body: EnrolDevice = call.bytes.read()?;
        let keys = keys(&body)?;
        let act = device::EnrolDevice { keys, origin: body.origin, name: body.name };
        let enrolled = call.wire.engine.execute(call.caller, &act).await?;
        Ok(EnrolledDevice {
            device: enrolled.device.to_string(),
            enrolment_epoch: enrolled.enrolment_epoch,
            deployment: call.wire.engine.services().deployment.to_string(),
            issuer: Base64Bytes(enrolled.issuer.to_vec()),
            server_time: enrolled.server_time,
        })
    })
}

pub(crate) fn list(arguments: &Arguments, _: NoBody) -> Result<ListDevices, Refusal> {
    Ok(ListDevices { after: arguments.text(AFTER), limit: arguments.limit()? })
}

pub(crate) fn listed(asked: &ListDevices, rows: Vec<(String, DeviceRecord)>) -> DeviceList {
    let next = next(&rows, asked.limit, |(id, _)| id);
    DeviceList {
        devices: rows.into_iter().map(|(id, record)| document(id, record)).collect(),
        next,
    }
}

pub(crate) fn revoke(arguments: &Arguments, _: Empty) -> Result<RevokeDevice, Refusal> {
    Ok(RevokeDevice { device: arguments.id("device")? })
}

pub(crate) fn revoked(asked: &RevokeDevice, record: DeviceRecord) -> Device {
    document(asked.device.to_string(), record)
}

fn document(device: String, record: DeviceRecord) -> Device {
    let DeviceRecord { owner, name, enrolled_at, revoked_at, keys: _, enrolment_epoch: _ } = record;
    Device { device, owner, name, enrolled_at, revoked_at }
}
