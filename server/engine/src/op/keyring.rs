//! Keyrings: each has a root key of its own in the HSM.
//!
//! A keyring is the boundary of destruction, too: destroying a key costs time in proportion to the
//! versions in its keyring, and touches no other.

use keyhaven_shared::{
    api::bytes::Base64Bytes, ids::KeyringId, operation::Operation, secret::DomainKey,
};

use crate::{
    act::{Act, Effect, Scene, TargetName},
    audit::Event,
    directory::put,
    error::Error,
    keystore::domain_aad,
    name,
    once::{self, Kept, Repeatable},
    permit::Permit,
    port::{
        hsm::{HsmKey, HsmRole},
        store::{Epoch, Kind, Place},
    },
    record::KeyringRecord,
    services::Services,
};

/// Makes a keyring with a root key of its own. Keyrings are never removed, and neither is the name.
#[derive(Debug)]
pub struct CreateKeyring {
    /// Its name.
    pub name: String,
}

impl Act for CreateKeyring {
    type Answer = KeyringRecord;
    const OPERATION: Operation = Operation::CreateKeyring;
    const ONE_AT_A_TIME: bool = true;

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<KeyringRecord>, Error> {
        name::check("keyring", &self.name)?;
        let place = Place::new(Kind::Keyring, &self.name);
        let epoch = services.directory.epoch(place.clone()).await?;
        if epoch != Epoch::ABSENT {
            return Err(Error::Conflict("a keyring of that name exists"));
        }
        // After the name is known to be free: a root in the HSM is not made for nothing.
        let (record, root) = make_keyring(services, &scene.permit, &self.name).await?;
        let write = put(place, epoch, &record)?;
        let detail = Event { subject: Some(self.name.clone()), ..Event::default() };
        let effect = Effect::answer(record).writing(vec![write]).noting(detail);
        // If the commit fails, the root is destroyed again.
        Ok(Effect { made_root: Some(root), ..effect })
    }
}

impl Repeatable for CreateKeyring {
    fn keep(answer: &KeyringRecord) -> Result<Kept, Error> {
        // Nobody is told the sealed key, so no second copy of it is kept.
        Kept::of(&KeyringRecord { sealed_domain: Base64Bytes(vec![]), ..answer.clone() })
    }

    fn again(&self, _: &Services, kept: serde_json::Value) -> Result<KeyringRecord, Error> {
        once::told(kept)
    }
}

/// Makes a keyring's root and domain keys, and the row that is to know them. The caller commits the
/// row, or destroys the root.
pub(crate) async fn make_keyring(
    services: &Services,
    permit: &Permit,
    name: &str,
) -> Result<(KeyringRecord, HsmKey), Error> {
    let mut id = [0; 16];
    rand_core::Rng::fill_bytes(&mut services.ports.environment.make_rng()?, &mut id);
    // Random and not the name: a root's label, and what it seals, belong to this one keyring for
    // ever.
    let id = KeyringId::from_random(id);
    let made = make_domain(services, permit, (id, 1, 1)).await?;
    let record = KeyringRecord {
        id: id.to_string(),
        name: name.to_owned(),
        root_epoch: made.root_epoch,
        generation: made.generation,
        sealed_domain: made.sealed,
        created_at: permit.now(),
    };
    Ok((record, made.root))
}

/// A root key in the HSM and a domain key under it.
pub(crate) struct MadeDomain {
    /// The root.
    pub(crate) root: HsmKey,
    /// Counts the roots of the keyring.
    pub(crate) root_epoch: u32,
    /// Counts the domain keys of the keyring.
    pub(crate) generation: u32,
    /// The domain key, sealed by it. Bound to deployment, keyring, epoch and generation.
    pub(crate) sealed: Base64Bytes,
    /// The domain key.
    /// For whoever wraps under it at once; it is dropped, zeroizing, with the rest.
    pub(crate) key: DomainKey,
}

/// Makes a root key in the HSM and a domain key sealed by it; or nothing, when one of the two fails.
///
/// The root takes the first number from `at_least` on that is above all of its keyring's in the HSM. So what
/// an interrupted attempt left there, or a newer database knows of, is never in the way and never replaced.
pub(crate) async fn make_domain(
    services: &Services,
    permit: &Permit,
    (keyring, at_least, generation): (KeyringId, u32, u32),
) -> Result<MadeDomain, Error> {
    let (deployment, hsm) = (services.deployment, &services.ports.hsm);
    let taken = hsm.keys(deployment).await?.into_iter().filter_map(|key| match key.role {
        HsmRole::Root { keyring: owner, epoch } if owner == keyring => Some(epoch),
        HsmRole::Root { .. } | HsmRole::Issuer | HsmRole::Log => None,
    });
    let after = taken.max().unwrap_or(0).checked_add(1).ok_or(Error::Internal)?;
    let root_epoch = after.max(at_least);
    let role = HsmRole::Root { keyring, epoch: root_epoch };
    let root = HsmKey { deployment, role };
    let aad = domain_aad(deployment, keyring, root_epoch, generation);
    match make_sealed(services, permit, (root, aad)).await {
        Ok((key, sealed)) => {
            let sealed = Base64Bytes(sealed);
            Ok(MadeDomain { root, root_epoch, generation, sealed, key })
        }
        Err(error) => {
            // Also when making it failed: it may be there although the HSM did not say so.
            services.discard_root(permit, root).await;
            Err(error)
        }
    }
}

/// The root, and a domain key from our own generator, sealed by it. Why not a key of the HSM's: it
/// would have to be extractable to get here.
async fn make_sealed(
    services: &Services,
    permit: &Permit,
    (root, aad): (HsmKey, Vec<u8>),
) -> Result<(DomainKey, Vec<u8>), Error> {
    let key = DomainKey::make(&mut services.ports.environment.make_rng()?);
    services.ports.hsm.make_key(permit, root).await?;
    let sealed = services.ports.hsm.seal(permit, root, aad, &key).await?;
    Ok((key, sealed))
}

/// Lists the keyrings. In order of name. Who may list sees all of them, with or without a right in
/// them.
#[derive(Debug)]
pub struct ListKeyrings {
    /// Names after this one.
    pub after: String,
    /// At most so many.
    pub limit: usize,
}

impl Act for ListKeyrings {
    type Answer = Vec<KeyringRecord>;
    const OPERATION: Operation = Operation::ListKeyrings;

    async fn act(&self, services: &Services, _: &Scene<'_>) -> Result<Effect<Self::Answer>, Error> {
        let rows = services.directory.list(("", &self.after), self.limit).await?;
        let keyrings = rows.into_iter().map(|row| KeyringRecord::clone(&row.record));
        Ok(Effect::answer(keyrings.collect()))
    }
}

/// Tells about one keyring. Its row holds the sealed domain key; protocols leave that out.
#[derive(Debug)]
pub struct DescribeKeyring {
    /// Its name.
    pub keyring: String,
}

impl Act for DescribeKeyring {
    type Answer = KeyringRecord;
    const OPERATION: Operation = Operation::DescribeKeyring;

    fn target(&self) -> TargetName {
        TargetName::Keyring(self.keyring.clone())
    }

    async fn act(&self, _: &Services, scene: &Scene<'_>) -> Result<Effect<KeyringRecord>, Error> {
        Ok(Effect::answer(KeyringRecord::clone(&scene.resource.keyring()?.record)))
    }
}
