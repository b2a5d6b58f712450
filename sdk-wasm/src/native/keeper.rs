//! Sees to it that leases in use are renewed, and that keys whose time is over leave memory, also when nobody
//! uses them.

use std::{sync::Arc, time::Duration};

use futures_util::future::select;

use super::{data_keys::DataKeys, endpoint::Endpoint, leases::Leases};

/// The machine may sleep meanwhile, so that a long wait ends too late; every use looks at the time, too.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// Begins to keep. It ends soon after the keys' owner is gone.
pub(crate) fn keep(endpoint: &Endpoint, keys: &Arc<DataKeys>, leases: &Arc<Leases>) {
    let (keys, leases) = (Arc::downgrade(keys), Arc::downgrade(leases));
    let runtime = Arc::clone(endpoint.runtime());
    endpoint.runtime().spawn(Box::pin(async move {
        while let (Some(keys), Some(leases)) = (keys.upgrade(), leases.upgrade()) {
            leases.renewals().into_iter().for_each(|renewal| runtime.spawn(renewal));
            leases.expire();
            keys.sweep();
            let rest = leases.rest().unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
            let changed = leases.changed();
            drop((keys, leases));
            select(Box::pin(changed.notified()), runtime.sleep(rest)).await;
        }
    }));
}
