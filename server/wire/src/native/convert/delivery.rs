//! Data keys sealed to a device, and the tickets for them.
//!
//! What a device gets is opaque from here on: a delivery is bytes that only the device opens.

use keyhaven_engine::op::{
    data_key::{self, DeliverDataKey, UnsealDataKey, Wish},
    ticket::{MintTicket, Minted},
};
use keyhaven_shared::{
    api::{
        bytes::Base64Bytes,
        delivery::{self as api, SealedDataKey, Ticket},
    },
    delivery::UsageFlags,
};

use super::{context, word};
use crate::native::{arguments::Arguments, error::Refusal};

/// `POST /keys/{key}/deliver-data-key`.
///
/// # Errors
/// [`Refusal::Malformed`] for a nonce that is not 32 bytes, no usage or an unknown one, or pairs
/// that make no context.
pub(crate) fn deliver(
    arguments: &Arguments,
    body: api::DeliverDataKey,
) -> Result<DeliverDataKey, Refusal> {
    let wish = wish((&body.nonce, &body.usage), (body.lease_s, body.offline_grace_s))?;
    Ok(DeliverDataKey { key: arguments.key()?, context: context(body.context)?, wish })
}

/// `POST /keys/{key}/unseal-data-key`. What the encrypted data key is, the engine finds out.
///
/// # Errors
/// As [`deliver`].
pub(crate) fn unseal(
    arguments: &Arguments,
    body: api::UnsealDataKey,
) -> Result<UnsealDataKey, Refusal> {
    let wish = wish((&body.nonce, &body.usage), (body.lease_s, body.offline_grace_s))?;
    let (key, encrypted_data_key) = (arguments.key()?, body.encrypted_data_key.0);
    Ok(UnsealDataKey { key, encrypted_data_key, context: context(body.context)?, wish })
}

/// The answer of both. The data key itself is in it twice, and both times not to be read: sealed to
/// the device, and encrypted under the key.
pub(crate) fn sealed<A>(_: &A, answer: data_key::SealedDataKey) -> SealedDataKey {
    SealedDataKey {
        delivery: Base64Bytes(answer.delivery),
        encrypted_data_key: Base64Bytes(answer.encrypted_data_key),
        key: answer.key,
        version: answer.version.number(),
        keyring: answer.keyring,
    }
}

/// What the device asks for. How long a lease or a grace may be, is not decided here.
fn wish(
    (nonce, usage): (&Base64Bytes, &[String]),
    (lease_s, offline_grace_s): (u32, u32),
) -> Result<Wish, Refusal> {
    let malformed = |text: &str| Refusal::Malformed(text.to_owned());
    // That it is random cannot be seen: a device that repeats one can be shown an old answer.
    let nonce = nonce.0.as_slice().try_into();
    let nonce = nonce.map_err(|_| malformed("`nonce` is 32 random bytes"))?;
    // Words and not a number: a bit that this version does not know would pass unseen.
    let usage = UsageFlags::from_words(usage.iter().map(String::as_str));
    let usage = usage
        .ok_or_else(|| malformed("`usage` is one or more of `encrypt`, `decrypt`, `export`"))?;
    Ok(Wish { nonce, usage, lease_s, offline_grace_s })
}

/// `POST /keys/{key}/tickets`.
///
/// # Errors
/// [`Refusal::Malformed`] for an unknown operation, a device id that is none, or pairs that make no
/// context.
pub(crate) fn mint_ticket(
    arguments: &Arguments,
    body: api::MintTicket,
) -> Result<MintTicket, Refusal> {
    let operations: Result<_, _> = body.operations.iter().map(|name| word(name)).collect();
    // A ticket whose pairs make no context could never be used: better told now.
    context(body.context.clone())?;
    Ok(MintTicket {
        key: arguments.key()?,
        subject: body.subject,
        operations: operations?,
        context: body.context.0,
        context_exact: body.context_exact,
        device: body.device.as_deref().map(word).transpose()?,
        uses: body.uses,
        expires_in_s: body.expires_in_s,
    })
}

/// The ticket. It is shown here alone.
pub(crate) fn ticket(_: &MintTicket, minted: Minted) -> Ticket {
    let Minted { token, id, expires_at, key: _ } = minted;
    Ticket { ticket: token, id: id.to_string(), expires_at }
}
