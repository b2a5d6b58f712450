use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::native::{
    device_store::{FileStore, MemoryStore},
    testing::{HandClock, Mood, Peer, issuer},
    transport::BoxFuture,
};

async fn open(peer: &Peer, store: &impl DeviceStore, enrol: &Enrol) -> Result<Device, Error> {
    Device::open(&peer.endpoint(), store, enrol, || async { Ok(peer.ticket()) }).await
}

fn peer() -> Peer {
    Peer::new(&HandClock::ticking())
}

#[tokio::test(start_paused = true)]
async fn a_device_enrols_once_and_is_taken_up_again_from_its_file() {
    let (peer, folder) = (peer(), tempfile::tempdir().unwrap());
    let store = FileStore::new(folder.path().join("device"));
    let enrol = Enrol::new().named("billing-1").issued_by(issuer());
    let device = open(&peer, &store, &enrol).await.unwrap();
    let again = open(&peer, &store, &enrol).await.unwrap();
    assert_eq!(device.id(), again.id());
    assert_eq!(again.issuer(), &issuer());
    assert_eq!(peer.requests(), ["/api/v1/devices"]);
}

#[tokio::test(start_paused = true)]
async fn two_that_open_one_file_at_once_are_one_device() {
    let (peer, folder) = (peer(), tempfile::tempdir().unwrap());
    let stores = [(); 2].map(|()| FileStore::new(folder.path().join("device")));
    let enrol = Enrol::new();
    let (one, other) =
        tokio::join!(open(&peer, &stores[0], &enrol), open(&peer, &stores[1], &enrol));
    assert_eq!(one.unwrap().id(), other.unwrap().id());
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_whose_enrolment_was_not_answered_enrol_again() {
    let (peer, store) = (peer(), MemoryStore::default());
    peer.be(Mood::Breaking);
    let lost = open(&peer, &store, &Enrol::new()).await.err().unwrap();
    assert_eq!(lost.code(), "network_failed");
    let kept = decode(&store.load().await.unwrap().unwrap()).unwrap().0;
    peer.be(Mood::Honest);
    assert_eq!(open(&peer, &store, &Enrol::new()).await.unwrap().id(), kept.id());
}

#[tokio::test(start_paused = true)]
async fn another_issuer_than_the_pinned_one_is_refused_now_and_later() {
    let (peer, store) = (peer(), MemoryStore::default());
    for _ in 0..2 {
        let refused = open(&peer, &store, &Enrol::new().issued_by([7; 32])).await.err().unwrap();
        assert_eq!(refused.code(), "issuer_changed");
    }
    open(&peer, &store, &Enrol::new().issued_by(issuer())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_another_device_or_with_an_unusable_issuer_is_refused() {
    let peer = peer();
    let changes: [fn(&mut serde_json::Value); 4] = [
        |answer| answer["device"] = "A".repeat(43).into(),
        |answer| answer["issuer"] = "AAAA".into(),
        |answer| answer["deployment"] = "none".into(),
        |answer| drop(answer.as_object_mut().unwrap().remove("enrolment_epoch")),
    ];
    for change in changes {
        peer.be(Mood::Changing(Arc::new(change)));
        let refused = open(&peer, &MemoryStore::default(), &Enrol::new()).await.err().unwrap();
        assert_eq!(refused.code(), "answer_malformed");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_asked() {
    let peer = peer();
    let no_token = || async { Err(SourceError::new("the backend is away")) };
    let store = MemoryStore::default();
    let refused = Device::open(&peer.endpoint(), &store, &Enrol::new(), no_token).await;
    assert_eq!(refused.err().unwrap().code(), "ticket_source_failed");
    let never = || async { std::future::pending().await };
    let refused = Device::open(&peer.endpoint(), &store, &Enrol::new(), never).await;
    assert_eq!(refused.err().unwrap().code(), "network_failed");
    assert!(peer.requests().is_empty());
}

/// Fails at the save of that number.
struct FailingStore(MemoryStore, AtomicUsize);

impl DeviceStore for FailingStore {
    fn load(&self) -> BoxFuture<'_, Result<Option<Zeroizing<Vec<u8>>>, SourceError>> {
        self.0.load()
    }

    fn save<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), SourceError>> {
        match self.1.fetch_sub(1, Ordering::SeqCst) {
            1 => Box::pin(async { Err(SourceError::new("disk full")) }),
            _ => self.0.save(bytes),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_cannot_be_kept_do_not_enrol() {
    let peer = peer();
    let store = FailingStore(MemoryStore::default(), AtomicUsize::new(1));
    let refused = open(&peer, &store, &Enrol::new()).await.err().unwrap();
    assert_eq!(refused.code(), "device_store_failed");
    assert!(peer.requests().is_empty());
    // The enrolment itself is lost: the same keys enrol once more.
    let store = FailingStore(MemoryStore::default(), AtomicUsize::new(2));
    assert!(open(&peer, &store, &Enrol::new()).await.is_err());
    open(&peer, &store, &Enrol::new()).await.unwrap();
    assert_eq!(peer.requests().len(), 2);
}

#[test]
fn a_stored_device_has_two_lengths_and_one_beginning() {
    let keys = DeviceKeys::make().unwrap();
    let enrolment = Enrolment {
        deployment: Peer::DEPLOYMENT,
        epoch: 7,
        issuer: IssuerPublicKey::from_bytes(&issuer()).unwrap(),
    };
    let whole = encode(&keys, Some(&enrolment));
    let (decoded, told) = decode(&whole).unwrap();
    let told = told.unwrap();
    assert_eq!(decoded.id(), keys.id());
    assert_eq!((told.deployment, told.epoch), (Peer::DEPLOYMENT, 7));
    assert_eq!(encode(&decoded, Some(&told)).as_slice(), whole.as_slice());
    let short = encode(&keys, None).len();
    for length in (0..whole.len()).filter(|length| *length != short) {
        assert!(decode(&whole[..length]).is_err(), "{length}");
    }
    assert!(decode(&whole[..short]).unwrap().1.is_none());
    assert!(decode(&[whole.as_slice(), &[0]].concat()).is_err());
    let mut other = whole.to_vec();
    other[3] += 1;
    assert!(decode(&other).is_err(), "another version");
}
