//! What every HSM must do. Each case makes the keys it needs in the deployment it is given, which must
//! be fresh; [`run_all`] runs them all.

use std::collections::BTreeSet;

use ed25519_dalek::{Signature, VerifyingKey};
use keyhaven_shared::{
    ids::{DeploymentId, KeyringId},
    secret::DomainKey,
};

use super::Failure;
pub use super::memory_hsm::{Fault, MemoryHsm};
use crate::{
    permit::Permit,
    port::hsm::{Hsm, HsmError, HsmKey, HsmRole},
};

const PERMIT: Permit = Permit::for_conformance();

/// Runs every case, each in a deployment of its own made from `seed`.
///
/// # Errors
/// [`Failure`], naming the case and what it saw.
pub async fn run_all(hsm: &dyn Hsm, seed: u8) -> Result<(), Failure> {
    let fresh = |case: u8| {
        let mut bytes = [seed; 16];
        bytes[0] = case;
        DeploymentId::from_random(bytes)
    };
    keys_are_made_once_and_listed(hsm, fresh(1), fresh(2)).await?;
    a_sealed_secret_opens_in_its_place_only(hsm, fresh(3)).await?;
    sealing_twice_gives_other_bytes(hsm, fresh(4)).await?;
    a_destroyed_root_opens_nothing(hsm, fresh(5)).await?;
    signatures_verify(hsm, fresh(6)).await?;
    missing_keys_are_named(hsm, fresh(7)).await?;
    a_key_serves_its_role_only(hsm, fresh(8)).await?;
    an_installation_given_up_leaves_nothing(hsm, fresh(9), fresh(10)).await?;
    hsm.ping().await.map_err(|error| Failure(format!("ping: {error}")))
}

/// A made key is checked and listed under its own deployment; it cannot be made again.
///
/// # Errors
/// [`Failure`].
pub async fn keys_are_made_once_and_listed(
    hsm: &dyn Hsm,
    deployment: DeploymentId,
    other: DeploymentId,
) -> Result<(), Failure> {
    let keys = [
        root(deployment, 1),
        root(deployment, 2),
        HsmKey { deployment, role: HsmRole::Issuer },
        HsmKey { deployment, role: HsmRole::Log },
    ];
    for key in keys {
        done("make", hsm.make_key(&PERMIT, key).await)?;
        done("check", hsm.check_key(key).await)?;
        match hsm.make_key(&PERMIT, key).await {
            Err(HsmError::Refused(_)) => {}
            answer => return fail("making a key that exists", &answer),
        }
        done("check after the refusal", hsm.check_key(key).await)?;
    }
    let listed = done("list", hsm.keys(deployment).await)?;
    let set: BTreeSet<_> = listed.iter().copied().collect();
    if listed.len() != keys.len() || set != BTreeSet::from(keys) {
        return fail("listing", &listed);
    }
    let of_other = done("list another deployment", hsm.keys(other).await)?;
    if of_other.is_empty() { Ok(()) } else { fail("listing another deployment", &of_other) }
}

/// Sealed bytes open under their root and associated data; any other root, data or byte is
/// [`HsmError::NotOpened`].
///
/// # Errors
/// [`Failure`].
pub async fn a_sealed_secret_opens_in_its_place_only(
    hsm: &dyn Hsm,
    deployment: DeploymentId,
) -> Result<(), Failure> {
    let (own, other) = (root(deployment, 1), root(deployment, 2));
    done("make", hsm.make_key(&PERMIT, own).await)?;
    done("make", hsm.make_key(&PERMIT, other).await)?;
    let sealed = done("seal", hsm.seal(&PERMIT, own, b"place".into(), &secret(7)).await)?;
    opens("what was sealed", hsm.open(own, b"place".into(), sealed.clone()).await, 7)?;
    refuses("another root", hsm.open(other, b"place".into(), sealed.clone()).await)?;
    for aad in [b"".as_slice(), b"plac", b"places", b"PLACE"] {
        refuses("other associated data", hsm.open(own, aad.into(), sealed.clone()).await)?;
    }
    for position in 0..sealed.len() {
        let mut changed = sealed.clone();
        if let Some(byte) = changed.get_mut(position) {
            *byte ^= 1;
        }
        refuses("a changed byte", hsm.open(own, b"place".into(), changed).await)?;
        let cut = sealed.iter().copied().take(position).collect();
        refuses("a cut end", hsm.open(own, b"place".into(), cut).await)?;
    }
    let longer = [sealed.as_slice(), &[0]].concat();
    refuses("an added byte", hsm.open(own, b"place".into(), longer).await)?;
    opens("after all refusals", hsm.open(own, b"place".into(), sealed).await, 7)
}

/// The nonce is random: the same secret sealed twice shares no nonce and no ciphertext.
///
/// # Errors
/// [`Failure`].
pub async fn sealing_twice_gives_other_bytes(
    hsm: &dyn Hsm,
    deployment: DeploymentId,
) -> Result<(), Failure> {
    let own = root(deployment, 1);
    done("make", hsm.make_key(&PERMIT, own).await)?;
    let mut nonces = BTreeSet::new();
    for _ in 0..64 {
        let sealed = done("seal", hsm.seal(&PERMIT, own, Vec::new(), &secret(7)).await)?;
        if !nonces.insert(sealed.iter().copied().take(12).collect::<Vec<_>>()) {
            return fail("a nonce came twice", &sealed);
        }
        if sealed.windows(DomainKey::BYTES).any(|window| window == [7; DomainKey::BYTES]) {
            return fail("the sealed bytes hold the secret", &());
        }
    }
    Ok(())
}

/// Destroying a root shreds what it sealed, can be repeated, and touches no other root. Nothing but a
/// root can be destroyed.
///
/// # Errors
/// [`Failure`].
pub async fn a_destroyed_root_opens_nothing(
    hsm: &dyn Hsm,
    deployment: DeploymentId,
) -> Result<(), Failure> {
    let (doomed, kept) = (root(deployment, 1), root(deployment, 2));
    let log = HsmKey { deployment, role: HsmRole::Log };
    for key in [doomed, kept, log] {
        done("make", hsm.make_key(&PERMIT, key).await)?;
    }
    let sealed = done("seal", hsm.seal(&PERMIT, doomed, Vec::new(), &secret(1)).await)?;
    let kept_sealed = done("seal", hsm.seal(&PERMIT, kept, Vec::new(), &secret(2)).await)?;
    for _ in 0..2 {
        done("destroy", hsm.destroy_root(&PERMIT, doomed).await)?;
        let answer = hsm.open(doomed, Vec::new(), sealed.clone()).await;
        misses("open under a destroyed root", answer, doomed)?;
    }
    done("make again", hsm.make_key(&PERMIT, doomed).await)?;
    refuses("a new root under the old name", hsm.open(doomed, Vec::new(), sealed).await)?;
    opens("another root's", hsm.open(kept, Vec::new(), kept_sealed).await, 2)?;
    match hsm.destroy_root(&PERMIT, log).await {
        Err(HsmError::Refused(_)) => done("check the log key", hsm.check_key(log).await),
        answer => fail("destroying the log key", &answer),
    }
}

/// Signatures verify strictly under the public key, which stays the same; each key has its own.
///
/// # Errors
/// [`Failure`].
pub async fn signatures_verify(hsm: &dyn Hsm, deployment: DeploymentId) -> Result<(), Failure> {
    let mut public_keys = BTreeSet::new();
    for role in [HsmRole::Issuer, HsmRole::Log] {
        let key = HsmKey { deployment, role };
        done("make", hsm.make_key(&PERMIT, key).await)?;
        let public = done("public key", hsm.public_key(key).await)?;
        public_keys.insert(public);
        for message in [Vec::new(), b"checkpoint".to_vec(), vec![0; 5000]] {
            let signature = done("sign", hsm.sign(key, message.clone()).await)?;
            let verified = VerifyingKey::from_bytes(&public).and_then(|verifier| {
                verifier.verify_strict(&message, &Signature::from_bytes(&signature))
            });
            if verified.is_err() {
                return fail("a signature that does not verify", &signature);
            }
        }
        if done("public key", hsm.public_key(key).await)? != public {
            return fail("a changed public key", &public);
        }
    }
    if public_keys.len() == 2 { Ok(()) } else { fail("issuer and log share a key", &public_keys) }
}

/// A key that is not there is [`HsmError::Missing`], whatever is asked of it.
///
/// # Errors
/// [`Failure`].
pub async fn missing_keys_are_named(
    hsm: &dyn Hsm,
    deployment: DeploymentId,
) -> Result<(), Failure> {
    let (own, log) = (root(deployment, 1), HsmKey { deployment, role: HsmRole::Log });
    misses("check", hsm.check_key(own).await, own)?;
    misses("seal", hsm.seal(&PERMIT, own, Vec::new(), &secret(1)).await, own)?;
    misses("open", hsm.open(own, Vec::new(), vec![0; 60]).await, own)?;
    misses("sign", hsm.sign(log, Vec::new()).await, log)?;
    misses("public key", hsm.public_key(log).await, log)
}

/// A signing key seals nothing and a root signs nothing.
///
/// # Errors
/// [`Failure`].
pub async fn a_key_serves_its_role_only(
    hsm: &dyn Hsm,
    deployment: DeploymentId,
) -> Result<(), Failure> {
    let (own, log) = (root(deployment, 1), HsmKey { deployment, role: HsmRole::Log });
    done("make", hsm.make_key(&PERMIT, own).await)?;
    done("make", hsm.make_key(&PERMIT, log).await)?;
    is_refused("sign with a root", hsm.sign(own, Vec::new()).await)?;
    is_refused("a root's public key", hsm.public_key(own).await)?;
    is_refused("seal with the log key", hsm.seal(&PERMIT, log, Vec::new(), &secret(1)).await)?;
    is_refused("open with the log key", hsm.open(log, Vec::new(), vec![0; 60]).await)
}

/// Keys of all roles are gone with their installation, and no other's.
///
/// # Errors
/// [`Failure`].
pub async fn an_installation_given_up_leaves_nothing(
    hsm: &dyn Hsm,
    deployment: DeploymentId,
    other: DeploymentId,
) -> Result<(), Failure> {
    for deployment in [deployment, other] {
        for role in [HsmRole::Issuer, HsmRole::Log, root(deployment, 1).role] {
            done("make", hsm.make_key(&PERMIT, HsmKey { deployment, role }).await)?;
        }
    }
    for _ in 0..2 {
        done("give up", hsm.abandon(&PERMIT, deployment).await)?;
        let left = done("list", hsm.keys(deployment).await)?;
        if !left.is_empty() {
            return fail("listing an installation that was given up", &left);
        }
    }
    let kept = done("list", hsm.keys(other).await)?;
    if kept.len() == 3 { Ok(()) } else { fail("another installation", &kept) }
}

const fn root(deployment: DeploymentId, epoch: u32) -> HsmKey {
    let keyring = KeyringId::from_random([0x11; 16]);
    HsmKey { deployment, role: HsmRole::Root { keyring, epoch } }
}

fn secret(byte: u8) -> DomainKey {
    DomainKey::fill_with(|bytes| bytes.fill(byte))
}

fn done<T>(step: &str, answer: Result<T, HsmError>) -> Result<T, Failure> {
    answer.map_err(|error| Failure(format!("{step}: {error}")))
}

fn opens(step: &str, answer: Result<DomainKey, HsmError>, byte: u8) -> Result<(), Failure> {
    let opened = done(step, answer)?;
    // EXPOSE: the suite made this secret itself and compares what came out.
    let same = opened.expose_secret() == &[byte; DomainKey::BYTES];
    if same { Ok(()) } else { Err(Failure(format!("{step}: another secret came out"))) }
}

fn refuses(step: &str, answer: Result<DomainKey, HsmError>) -> Result<(), Failure> {
    match answer.map(drop) {
        Err(HsmError::NotOpened) => Ok(()),
        answer => fail(step, &answer),
    }
}

fn misses<T>(step: &str, answer: Result<T, HsmError>, key: HsmKey) -> Result<(), Failure> {
    match answer.map(drop) {
        Err(HsmError::Missing(missing)) if missing == key => Ok(()),
        answer => fail(step, &answer),
    }
}

fn is_refused<T>(step: &str, answer: Result<T, HsmError>) -> Result<(), Failure> {
    match answer.map(drop) {
        Err(HsmError::Refused(_)) => Ok(()),
        answer => fail(step, &answer),
    }
}

fn fail<T>(step: &str, answer: &impl std::fmt::Debug) -> Result<T, Failure> {
    Err(Failure(format!("{step}: {answer:?}")))
}
