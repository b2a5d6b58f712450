//! Keyrings: each has a root key of its own in the HSM.

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
    permit::Permit,
    port::{
        hsm::{HsmKey, HsmRole},
        store::{Epoch, Kind, Place},
    },
    record::KeyringRecord,
    services::Services,
};

/// Makes a keyring with a root key of its own.
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
        let mut id = [0; 16];
        rand_core::Rng::fill_bytes(&mut services.ports.environment.make_rng()?, &mut id);
        let id = KeyringId::from_random(id);
        let sealed_domain = make_domain(services, &scene.permit, (id, 1, 1)).await?.0;
        let record = KeyringRecord {
            id: id.to_string(),
            name: self.name.clone(),
            root_epoch: 1,
            generation: 1,
            sealed_domain,
            created_at: scene.permit.now(),
        };
        let write = put(place, epoch, &record)?;
        let detail = Event { subject: Some(self.name.clone()), ..Event::default() };
        Ok(Effect::answer(record).writing(vec![write]).noting(detail))
    }
}

/// Makes a root key in the HSM and a domain key sealed by it.
///
/// A root left behind by an attempt that was not committed is replaced: nothing was ever kept under it.
pub(crate) async fn make_domain(
    services: &Services,
    permit: &Permit,
    (keyring, root_epoch, generation): (KeyringId, u32, u32),
) -> Result<(Base64Bytes, DomainKey), Error> {
    let (deployment, hsm) = (services.deployment, &services.ports.hsm);
    let role = HsmRole::Root { keyring, epoch: root_epoch };
    let root = HsmKey { deployment, role };
    hsm.destroy_root(permit, root).await?;
    hsm.make_key(permit, root).await?;
    let domain = DomainKey::make(&mut services.ports.environment.make_rng()?);
    let aad = domain_aad(deployment, keyring, root_epoch, generation);
    let sealed = hsm.seal(permit, root, aad, &domain).await?;
    Ok((Base64Bytes(sealed), domain))
}

/// Lists the keyrings.
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

/// Tells about one keyring.
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
