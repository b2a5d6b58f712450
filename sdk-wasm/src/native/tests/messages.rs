//! Whole messages.

use keyhaven_shared::{
    context::EncryptionContext,
    message::{self, EncryptedDataKey, NewMessage},
};

use super::{Limits, World, code, context};
use crate::{
    entropy::make_rng,
    native::{
        decryption::MessageInfo,
        testing::{Peer, signed_message},
    },
};

#[tokio::test(start_paused = true)]
async fn what_one_client_encrypts_the_other_decrypts() {
    let worlds = World::both().await;
    for (from, to) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for size in [0, 1, 65_535, 65_536, 200_000] {
            let data = vec![7; size];
            let message = worlds[from].encrypt(&data).await.unwrap();
            assert_eq!(worlds[to].decrypt(&message).await.unwrap(), data, "{from} {to} {size}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_tells_what_it_is_before_anything_is_asked() {
    let world = World::with_token(Limits::default());
    let message = world.encrypt(b"data").await.unwrap();
    let info = MessageInfo::read(&message).unwrap().unwrap();
    assert_eq!((info.key, info.version.number(), info.signed), (Peer::KEY, 1, false));
    assert_eq!(info.context, context("file", "42"));
    assert_eq!(MessageInfo::read(&message[..20]).unwrap(), None);
    assert_eq!(code(MessageInfo::read(b"no message at all")), "message_unsupported");
}

#[tokio::test(start_paused = true)]
async fn a_message_about_something_else_is_refused_before_anything_is_asked() {
    for world in World::both().await {
        let message = world.encrypt(b"data").await.unwrap();
        let asked = world.asked();
        for required in [context("file", "43"), context("other", "42")] {
            let refused = world.client.decrypt(&message, &required).await;
            assert_eq!(code(refused), "context_mismatch");
        }
        assert_eq!(world.asked(), asked);
        let any = EncryptionContext::default();
        assert_eq!(world.client.decrypt(&message, &any).await.unwrap(), b"data");
    }
}

#[tokio::test(start_paused = true)]
async fn every_cut_and_every_changed_byte_of_a_message_is_refused() {
    let world = World::with_token(Limits::default());
    let message = world.encrypt(b"a few bytes").await.unwrap();
    let header = message.len() - 11 - 36;
    for at in 0..message.len() {
        assert!(world.decrypt(&message[..at]).await.is_err(), "cut at {at}");
        let mut changed = message.clone();
        changed[at] ^= 1;
        assert!(world.decrypt(&changed).await.is_err(), "changed at {at}");
        let truncated = at >= header;
        assert!(!truncated || code(world.decrypt(&message[..at]).await) == "message_truncated");
    }
    let longer = [message.as_slice(), &[0]].concat();
    assert_eq!(code(world.decrypt(&longer).await), "message_trailing_data");
    assert_eq!(world.decrypt(&message).await.unwrap(), b"a few bytes");
}

#[tokio::test(start_paused = true)]
async fn arguments_that_cannot_be_are_refused_before_anything_is_asked() {
    let world = World::with_token(Limits::default());
    let empty = EncryptionContext::default();
    for key in ["", "a/b", "..", "a b"] {
        assert_eq!(code(world.client.encrypt(key, &empty, b"").await), "invalid_argument");
    }
    let reserved = context("aws-crypto-public-key", "x");
    let refused = world.client.encrypt("photos", &reserved, b"").await;
    assert_eq!(code(refused), "context_reserved_key");
    assert_eq!(world.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_signed_message_is_decrypted_as_a_whole_only() {
    let world = World::with_token(Limits::default());
    let message = signed_message(&context("file", "42"), b"signed");
    assert_eq!(world.decrypt(&message).await.unwrap(), b"signed");
    let required = EncryptionContext::default();
    let streamed = world.client.decrypting_reader(message.as_slice(), &required).await;
    assert_eq!(code(streamed.map(drop)), "message_signed_stream");
    let mut forged = message;
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(code(world.decrypt(&forged).await), "message_refused");
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_service_is_foreign() {
    let world = World::with_token(Limits::default());
    let rng = &mut make_rng().unwrap();
    let key = keyhaven_shared::secret::DataKey::make(rng);
    let other = EncryptedDataKey {
        provider_id: "aws-kms".to_owned(),
        provider_info: b"arn".to_vec(),
        ciphertext: vec![1; 64],
    };
    let (context, keys) = (context("file", "42"), [other]);
    let new = NewMessage::new(&context, &keys);
    let message = message::encrypt(new, &key, b"data", rng).unwrap();
    assert_eq!(code(world.decrypt(&message).await), "message_foreign");
    assert_eq!(world.asked(), 0);
}
