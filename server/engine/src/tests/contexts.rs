//! What a ciphertext is bound to: its key, its version and its encryption context, byte by byte.

use keyhaven_shared::{context::EncryptionContext, ids::KeyId, key_state::KeyState};
use zeroize::Zeroizing;

use super::{
    stage::{Stage, create_key},
    world::{World, alias_of, context},
};
use crate::{
    caller::Caller,
    error::Error,
    op::{
        crypt::{Decrypt, Encrypt, ReEncryptFrom, ReEncryptTo},
        data_key::GenerateDataKey,
        key::{CreateKey, RotateKey},
        key_state::DisableKey,
        keyring::CreateKeyring,
    },
};

fn pairs(pairs: &[(&str, &str)]) -> EncryptionContext {
    let owned = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    EncryptionContext::from_pairs(owned).unwrap()
}

/// Contexts that someone could take for one another.
fn alike() -> Vec<EncryptionContext> {
    let long = "x".repeat(1000);
    [
        &[][..],
        &[("a", "")],
        &[("a", "1")],
        &[("1", "a")],
        &[("a", "1"), ("b", "")],
        &[("a", "1"), ("b", "2")],
        &[("a", "2"), ("b", "1")],
        &[("a", "b"), ("1", "2")],
        &[("A", "1")],
        &[("a", "1 ")],
        &[(" a", "1")],
        &[("a1", "")],
        &[("a", "1\0")],
        &[("caf\u{e9}", "1")],
        &[("cafe\u{301}", "1")],
        &[("\u{430}", "1")],
        &[("a\u{200b}", "1")],
        &[("a", &long)],
    ]
    .map(pairs)
    .to_vec()
}

async fn encrypt(world: &World, caller: &Caller, about: &EncryptionContext) -> Vec<u8> {
    let plaintext = Zeroizing::new(b"secret".to_vec());
    let encrypt = Encrypt { key: alias_of("photos"), plaintext, context: about.clone() };
    world.engine.execute(caller, &encrypt).await.unwrap().ciphertext
}

fn decryption(key: &str, ciphertext: &[u8], about: &EncryptionContext) -> Decrypt {
    let (key, context) = (alias_of(key), about.clone());
    Decrypt { key, ciphertext: ciphertext.to_vec(), context }
}

/// Decrypts, and checks that encrypting anew takes and refuses the same.
async fn open(
    world: &World,
    caller: &Caller,
    (key, ciphertext, about): (&str, &[u8], &EncryptionContext),
) -> Result<Vec<u8>, Error> {
    let plain = world.engine.execute(caller, &decryption(key, ciphertext, about)).await;
    let anew = ReEncryptFrom(decryption(key, ciphertext, about));
    let anew = world.engine.execute(caller, &anew).await;
    let (plain, anew) = (plain.map(|p| p.plaintext.to_vec()), anew.map(|a| a.plaintext.to_vec()));
    assert_eq!(plain, anew);
    plain
}

#[tokio::test]
async fn every_context_opens_its_own_ciphertext_and_no_other() {
    let stage = Stage::new().await;
    let (world, admin, contexts) = (&stage.world, &stage.admin, alike());
    for (made, about) in contexts.iter().enumerate() {
        let ciphertext = encrypt(world, admin, about).await;
        for (asked, other) in contexts.iter().enumerate() {
            let opened = open(world, admin, ("photos", &ciphertext, other)).await;
            let expected =
                if made == asked { Ok(b"secret".to_vec()) } else { Err(Error::CiphertextInvalid) };
            assert_eq!(opened, expected, "{about:?} and {other:?}");
        }
    }
}

#[tokio::test]
async fn a_generated_data_key_comes_back_for_its_context_only() {
    let stage = Stage::new().await;
    let (world, admin) = (&stage.world, &stage.admin);
    let (one, two) = (context("file", "1"), context("file", "2"));
    let mut made = Vec::new();
    for about in [&one, &two] {
        let generate = GenerateDataKey { key: alias_of("photos"), context: about.clone() };
        made.push(world.engine.execute(admin, &generate).await.unwrap());
    }
    // EXPOSE: the test compares the keys that came out.
    let (first, second) = (made[0].plaintext.expose_secret(), made[1].plaintext.expose_secret());
    assert_ne!(first, second);
    let opened = open(world, admin, ("photos", &made[0].ciphertext, &one)).await;
    assert_eq!(opened.unwrap(), first);
    for (ciphertext, about) in [(&made[0].ciphertext, &two), (&made[1].ciphertext, &one)] {
        let swapped = open(world, admin, ("photos", ciphertext, about)).await;
        assert_eq!(swapped, Err(Error::CiphertextInvalid));
    }
}

#[tokio::test]
async fn a_ciphertext_of_elsewhere_looks_like_a_changed_one() {
    let (stage, elsewhere) = (Stage::new().await, World::new().await);
    let (world, admin, about) = (&stage.world, &stage.admin, context("about", "test"));
    world.key("music").await;
    world.engine.execute(admin, &CreateKeyring { name: "app".into() }).await.unwrap();
    let create = CreateKey { keyring: "app".into(), ..create_key("photos") };
    world.engine.execute(admin, &create).await.unwrap();
    // The other installation's fakes repeat this one's randomness but for what came before.
    elsewhere.key("unused").await;
    elsewhere.key("photos").await;
    let foreign = [
        ("another key", world.encrypt(admin, "music").await.unwrap()),
        ("another keyring", world.encrypt(admin, "app:photos").await.unwrap()),
        (
            "another installation",
            elsewhere.encrypt(&elsewhere.admin().await, "photos").await.unwrap(),
        ),
        ("no ciphertext", b"secret".to_vec()),
        ("nothing", vec![]),
    ];
    for (what, ciphertext) in foreign {
        let opened = open(world, admin, ("photos", &ciphertext, &about)).await;
        assert_eq!(opened, Err(Error::CiphertextInvalid), "{what}");
        assert_eq!(world.last_audit().await["outcome"], "ciphertext_invalid", "{what}");
        // Renamed to this key, it is a changed one all the same.
        if let Some(id) = ciphertext.get(5..21) {
            assert_ne!(id, stage.photos.id.as_bytes().as_slice(), "{what}");
            let mut renamed = ciphertext.clone();
            renamed[5..21].copy_from_slice(stage.photos.id.as_bytes());
            let opened = open(world, admin, ("photos", &renamed, &about)).await;
            assert_eq!(opened, Err(Error::CiphertextInvalid), "{what}, renamed");
        }
    }
}

#[tokio::test]
async fn every_changed_byte_and_every_cut_is_refused_alike() {
    let stage = Stage::new().await;
    let (world, admin, about) = (&stage.world, &stage.admin, context("about", "test"));
    for position in 0..stage.ciphertext.len() {
        let mut changed = stage.ciphertext.clone();
        changed[position] ^= 0x80;
        let cut = &stage.ciphertext[..position];
        for bytes in [changed.as_slice(), cut] {
            let decrypt = decryption("photos", bytes, &about);
            let told = world.engine.execute(admin, &decrypt).await.map(drop);
            assert_eq!(told, Err(Error::CiphertextInvalid), "at {position}");
        }
    }
    let longer = [stage.ciphertext.as_slice(), &[0]].concat();
    let told = open(world, admin, ("photos", &longer, &about)).await;
    assert_eq!(told, Err(Error::CiphertextInvalid));
    assert!(open(world, admin, ("photos", &stage.ciphertext, &about)).await.is_ok());
}

#[tokio::test]
async fn a_version_that_is_not_the_ciphertexts_own_is_refused() {
    let stage = Stage::new().await;
    let (world, admin, about) = (&stage.world, &stage.admin, context("about", "test"));
    let numbered = |number: u32| {
        let mut changed = stage.ciphertext.clone();
        changed[21..25].copy_from_slice(&number.to_be_bytes());
        changed
    };
    for future in [0, 2, 3, 256, u32::MAX] {
        let told = open(world, admin, ("photos", &numbered(future), &about)).await;
        assert_eq!(told, Err(Error::CiphertextInvalid), "version {future}");
    }
    world.engine.execute(admin, &RotateKey { key: alias_of("photos") }).await.unwrap();
    let told = open(world, admin, ("photos", &numbered(2), &about)).await;
    assert_eq!(told, Err(Error::CiphertextInvalid), "a version that exists by now");
    assert!(open(world, admin, ("photos", &numbered(1), &about)).await.is_ok());
}

#[tokio::test]
async fn unsealing_takes_only_the_data_key_of_its_key_and_context() {
    let stage = Stage::new().await;
    let (world, admin) = (&stage.world, &stage.admin);
    let (one, two) = (context("file", "1"), context("file", "2"));
    let generate = |about: &EncryptionContext| GenerateDataKey {
        key: alias_of("photos"),
        context: about.clone(),
    };
    let other = world.engine.execute(admin, &generate(&two)).await.unwrap().ciphertext;
    let message = encrypt(world, admin, &one).await;
    let ticket = world.ticket("writer", |_| {}).await;
    for (what, bytes) in [("another context", &other), ("no data key", &message)] {
        let told = world.unseal(&stage.device, (&ticket, bytes)).await.err();
        assert_eq!(told, Some(Error::CiphertextInvalid), "{what}");
    }
    let generated = world.engine.execute(admin, &generate(&one)).await.unwrap().ciphertext;
    let sealed = world.unseal(&stage.device, (&ticket, &generated)).await;
    assert!(sealed.is_ok(), "a backend's data key, and the refusals spent nothing");
}

#[tokio::test]
async fn encrypting_anew_moves_a_message_to_another_key_and_context() {
    let stage = Stage::new().await;
    let (world, admin) = (&stage.world, &stage.admin);
    world.engine.execute(admin, &CreateKeyring { name: "app".into() }).await.unwrap();
    let create = CreateKey { keyring: "app".into(), ..create_key("vault") };
    world.engine.execute(admin, &create).await.unwrap();
    let (old, new) = (context("about", "test"), context("tenant", "7"));
    let anew = async |ciphertext: &[u8]| {
        let from = ReEncryptFrom(decryption("photos", ciphertext, &old));
        let plaintext = world.engine.execute(admin, &from).await?.plaintext;
        let key = alias_of("app:vault");
        let to = ReEncryptTo(Encrypt { key, plaintext, context: new.clone() });
        Ok::<_, Error>(world.engine.execute(admin, &to).await?.ciphertext)
    };
    let moved = anew(&stage.ciphertext).await.unwrap();
    let opened = open(world, admin, ("app:vault", &moved, &new)).await;
    assert_eq!(opened.unwrap(), b"secret");
    for (key, about) in [("photos", &new), ("photos", &old), ("app:vault", &old)] {
        let told = open(world, admin, (key, &moved, about)).await;
        assert_eq!(told, Err(Error::CiphertextInvalid), "{key} {about:?}");
    }
    assert_ne!(anew(&stage.ciphertext).await.unwrap(), moved, "never the same bytes twice");
    world.engine.execute(admin, &DisableKey { key: alias_of("photos") }).await.unwrap();
    let stopped = anew(&stage.ciphertext).await;
    assert_eq!(stopped, Err(Error::WrongState(KeyState::Disabled)));
    assert!(open(world, admin, ("app:vault", &moved, &new)).await.is_ok(), "moved for good");
}

/// A key that does not exist and one that may not be used are refused before the ciphertext is looked at.
#[tokio::test]
async fn whether_a_ciphertext_is_valid_is_told_to_nobody_without_the_right() {
    let stage = Stage::new().await;
    let outsider = stage.world.user("outsider").await;
    let about = context("about", "test");
    for bytes in [stage.ciphertext.as_slice(), b"garbage", b""] {
        let told = open(&stage.world, &outsider, ("photos", bytes, &about)).await;
        assert_eq!(told, Err(Error::Denied));
    }
    let missing = crate::name::KeyName::Id(KeyId::from_random([9; 16]));
    let decrypt = Decrypt { key: missing, ciphertext: stage.ciphertext.clone(), context: about };
    let told = stage.world.engine.execute(&outsider, &decrypt).await.map(drop);
    assert_eq!(told, Err(Error::Denied));
}
