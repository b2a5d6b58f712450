//! The register of all rows: it lists what is there, and nobody commits past it.

use super::{committed, entry, proposal, write};
use crate::{
    integrity::{NodeId, Register, RowSeal},
    port::store::{Extract, Kind, Place, Proposal, Store, StoreError, Verdict},
    row::Serial,
};

/// Every row is listed as it is, and every place that is listed as live has a row.
pub(super) async fn everything_is_listed(store: &dyn Store) -> Result<(), StoreError> {
    let gone = Place::new(Kind::Key, "gone");
    committed(store, vec![], vec![write(&gone, 0, Some("x"))]).await?;
    committed(store, vec![], vec![write(&gone, 1, None)]).await?;
    let seal = RowSeal::for_conformance();
    let mut rows = 0;
    for kind in Kind::ALL {
        let all = store.list(*kind, String::new(), String::new(), usize::MAX).await?;
        let mut register = Register::open(&seal, all.nodes.get(NodeId::Root), Serial::NONE);
        assert_eq!(register.check_count(*kind, all.rows.len()), Ok(()));
        rows += all.rows.len();
        for row in all.rows {
            let checked = register.check(&row.place.clone(), Some(row), &all.nodes);
            assert!(checked.is_ok(), "{checked:?}");
        }
    }
    assert!(rows > 15, "only {rows} rows of all that were made");
    let (mut live, mut removed) = (0, 0);
    for branch in 0..=u8::MAX {
        let nodes = store.branch(branch).await?;
        let mut register = Register::open(&seal, nodes.get(NodeId::Root), Serial::NONE);
        for leaf in 0..=u8::MAX {
            for (place, listed) in register.leaf((branch, leaf), &nodes).unwrap_or_default() {
                let Extract { rows, .. } = store.read(place.clone()).await?;
                assert_eq!(rows.len(), usize::from(listed.live), "{place}");
                live += usize::from(listed.live);
                removed += usize::from(!listed.live);
            }
        }
    }
    assert_eq!(live, rows);
    assert!(removed > 0, "removed rows are listed on");
    Ok(())
}

/// Whoever has seen a newer register, or a longer log, gets nothing committed.
pub(super) async fn an_older_store_is_refused(store: &dyn Store) -> Result<(), StoreError> {
    let next = store.next_index().await?;
    let place = Place::new(Kind::Key, "older");
    let of = |seal| {
        let writes = vec![write(&place, 0, Some("x"))];
        Proposal { seal, ..Proposal::for_conformance(vec![], writes, None, entry()) }
    };
    let newer = RowSeal::for_conformance();
    newer.saw_change(Serial::of(next));
    assert_eq!(store.commit(of(newer)).await?, Verdict::RolledBack);
    let longer = RowSeal::for_conformance();
    longer.saw_entries(next + 1);
    assert_eq!(store.commit(of(longer)).await?, Verdict::RolledBack);
    assert_eq!(store.next_index().await?, next);
    let same = RowSeal::for_conformance();
    same.saw_entries(next);
    assert_eq!(store.commit(of(same)).await?, Verdict::Committed { index: next });
    // Neither is it taken over by another installation.
    let other = RowSeal::for_conformance_of([1; 16]);
    let verdict = store.commit(of(other)).await?;
    assert!(matches!(verdict, Verdict::Tampered(..)), "{verdict:?}");
    let stale = proposal(vec![], vec![write(&place, 0, Some("x"))], None);
    assert_eq!(store.commit(stale).await?, Verdict::Stale(place));
    Ok(())
}
