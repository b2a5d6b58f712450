//! MLKEM768-X25519 against the published vectors of X-Wing and of HPKE's post-quantum draft, and what
//! must not open. A second implementation seals to us in `npm/test/peer.mjs`.

use ::hpke::{aead::ChaCha20Poly1305, kem::XWing};
use shake::{ExtendableOutput, Shake256, Update, XofReader};

use super::*;
use crate::{hpke::open::hybrid_secret, secret::MlKemSeed};

const SUITE: SealingSuite = SealingSuite::MlKem768X25519Aes256Gcm;

/// Both private keys of a recipient, which the standard takes from one seed of 32 bytes.
struct Recipient {
    ml_kem: MlKemPrivateKey,
    x25519: [u8; 32],
}

impl Recipient {
    /// `expandDecapsulationKey` (draft-connolly-cfrg-xwing-kem §5.2): SHAKE256(seed), 96 bytes.
    fn expand(seed: &[u8]) -> Self {
        let (mut ml_kem, mut x25519) = ([0; 64], [0; 32]);
        let mut hasher = Shake256::default();
        hasher.update(seed);
        let mut expanded = hasher.finalize_xof();
        expanded.read(&mut ml_kem);
        expanded.read(&mut x25519);
        let ml_kem = MlKemPrivateKey::from_seed(&MlKemSeed::from_slice(&ml_kem).unwrap());
        Self { ml_kem, x25519 }
    }

    fn public(&self) -> SealingPublicKey {
        let bytes = [self.ml_kem.public_key(), public_of(self.x25519).to_vec()].concat();
        SealingPublicKey::new(SUITE, &bytes).unwrap()
    }

    /// The X25519 step done elsewhere, then ours.
    fn secret(&self, enc: &[u8]) -> Vec<u8> {
        let dh = agree(self.x25519, *enc.last_chunk().unwrap());
        let secret = hybrid_secret((&dh, &self.ml_kem), enc, self.public().as_bytes());
        secret.unwrap().0.to_vec()
    }

    fn agreement(&self, sealed: &Sealed) -> Agreement<'_> {
        let share = sealed.x25519_share().unwrap();
        Agreement::with_private(&private(self.x25519), share, Some(&self.ml_kem))
    }
}

fn x_wing() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../x-wing.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

#[test]
fn opens_the_published_vectors_of_x_wing() {
    assert_eq!(x_wing().len(), 3);
    for vector in x_wing() {
        let recipient = Recipient::expand(&bytes(&vector["sk"]));
        assert_eq!(recipient.public().as_bytes(), bytes(&vector["pk"]));
        assert_eq!(recipient.secret(&bytes(&vector["ct"])), bytes(&vector["ss"]));
    }
}

#[test]
fn seals_as_the_published_vectors_of_x_wing_do() {
    for vector in x_wing() {
        let recipient = Recipient::expand(&bytes(&vector["sk"]));
        let binding = Binding { info: b"info", aad: b"aad" };
        let mut rng = FixedRng(bytes(&vector["eseed"]));
        let sealed = recipient.public().seal(&binding, b"key", &mut rng).unwrap();
        assert_eq!(sealed.enc, bytes(&vector["ct"]));
        let opened = recipient.public().open(&recipient.agreement(&sealed), &binding, &sealed);
        assert_eq!(opened.unwrap().as_slice(), b"key");
    }
}

#[test]
fn agrees_with_the_vectors_of_hpkes_post_quantum_draft() {
    let vector: Value = serde_json::from_str(include_str!("../hpke-pq.json")).unwrap();
    let recipient = Recipient::expand(&bytes(&vector["skRm"]));
    assert_eq!(recipient.public().as_bytes(), bytes(&vector["pkRm"]));
    let (info, enc) = (bytes(&vector["info"]), bytes(&vector["enc"]));

    let mut rng = FixedRng(bytes(&vector["ikmE"]));
    let sealed = recipient.public().seal(&Binding { info: &info, aad: b"" }, b"", &mut rng);
    assert_eq!(sealed.unwrap().enc, enc);

    assert_eq!(recipient.secret(&enc), bytes(&vector["shared_secret"]));
    let dh = agree(recipient.x25519, *enc.last_chunk().unwrap());
    let secret = hybrid_secret((&dh, &recipient.ml_kem), &enc, recipient.public().as_bytes());
    let mut context = key_schedule::<ChaCha20Poly1305, XWing>(secret.unwrap(), &info);
    let messages = vector["encryptions"].as_array().unwrap();
    for message in messages {
        let opened = context.open(&bytes(&message["ct"]), &bytes(&message["aad"])).unwrap();
        assert_eq!(opened, bytes(&message["pt"]));
    }
    assert_eq!(messages.len(), 3);
    for export in vector["exports"].as_array().unwrap() {
        let mut exported = [0; 32];
        context.export(&bytes(&export["exporter_context"]), &mut exported).unwrap();
        assert_eq!(exported, array(&export["exported_value"]));
    }
}

#[test]
fn a_key_comes_back_from_its_seed() {
    let key = MlKemPrivateKey::make(&mut CountingRng(5));
    let again = MlKemPrivateKey::from_seed(&key.seed().unwrap());
    assert_eq!(again.public_key(), key.public_key());
    assert_ne!(MlKemPrivateKey::make(&mut CountingRng(6)).public_key(), key.public_key());
}

#[test]
fn a_part_of_low_order_is_refused_in_both_directions() {
    let recipient = Recipient::expand(&[7; 32]);
    let binding = Binding { info: b"", aad: b"" };
    let good = recipient.public().seal(&binding, b"key", &mut CountingRng(0)).unwrap();
    for point in LOW_ORDER {
        for top_bit in [0, 0x80] {
            let mut point = hex(point);
            point[31] |= top_bit;
            let bytes = [recipient.ml_kem.public_key(), point.clone()].concat();
            assert_eq!(SealingPublicKey::new(SUITE, &bytes), Err(UnusableKey));
            let mut sealed = good.clone();
            sealed.enc[1088..].copy_from_slice(&point);
            let opened = recipient.public().open(&recipient.agreement(&sealed), &binding, &sealed);
            assert!(opened.is_err());
        }
    }
}

#[test]
fn an_ml_kem_key_beyond_the_modulus_is_refused() {
    let good = Recipient::expand(&[7; 32]).public();
    // Two coefficients of 12 bits stand in three bytes, the lower first.
    for coefficient in [0, 1, 255, 256, 767] {
        for value in [3329_u16, 3330, 4095] {
            let mut bytes = good.as_bytes().to_vec();
            let (at, [low, high]) = (coefficient / 2 * 3, value.to_le_bytes());
            if coefficient % 2 == 0 {
                bytes[at] = low;
                bytes[at + 1] = bytes[at + 1] & 0xf0 | high;
            } else {
                bytes[at + 1] = bytes[at + 1] & 0x0f | low << 4;
                bytes[at + 2] = low >> 4 | high << 4;
            }
            let refused = SealingPublicKey::new(SUITE, &bytes);
            assert_eq!(refused, Err(UnusableKey), "coefficient {coefficient} is {value}");
        }
    }
}

#[test]
fn each_half_alone_opens_nothing() {
    let (recipient, other) = (Recipient::expand(&[7; 32]), Recipient::expand(&[8; 32]));
    let binding = Binding { info: b"info", aad: b"aad" };
    let sealed = recipient.public().seal(&binding, b"key", &mut CountingRng(0)).unwrap();
    let open = |x25519: &Recipient, ml_kem: Option<&MlKemPrivateKey>| {
        let share = sealed.x25519_share().unwrap();
        let agreed = Agreement::with_private(&private(x25519.x25519), share, ml_kem);
        recipient.public().open(&agreed, &binding, &sealed).is_ok()
    };
    assert!(open(&recipient, Some(&recipient.ml_kem)));
    assert!(!open(&other, Some(&recipient.ml_kem)), "without the X25519 key");
    assert!(!open(&recipient, Some(&other.ml_kem)), "without the ML-KEM key");
    assert!(!open(&recipient, None), "as if it were classical");
    // And a classical message is not opened as if it were hybrid.
    let public = classical(&public_of(recipient.x25519));
    let sealed = public.seal(&binding, b"key", &mut CountingRng(0)).unwrap();
    assert!(public.open(&recipient.agreement(&sealed), &binding, &sealed).is_err());
}

#[test]
fn every_changed_byte_and_other_length_of_the_encapsulated_key_is_refused() {
    let recipient = Recipient::expand(&[7; 32]);
    let (public, binding) = (recipient.public(), Binding { info: b"info", aad: b"aad" });
    let good = public.seal(&binding, b"key", &mut CountingRng(0)).unwrap();
    assert_eq!(good.enc.len(), 1120);
    let opens =
        |sealed: &Sealed| public.open(&recipient.agreement(sealed), &binding, sealed).is_ok();
    assert!(opens(&good));
    for at in 0..good.enc.len() {
        let mut changed = good.clone();
        changed.enc[at] ^= 1 << (at % 8);
        assert!(!opens(&changed), "byte {at}");
    }
    for length in (32..1120).step_by(31).chain([1088, 1119]) {
        let cut = Sealed { enc: good.enc[..length].to_vec(), ..good.clone() };
        assert!(!opens(&cut), "cut to {length}");
    }
    let longer = Sealed { enc: [good.enc.as_slice(), &[0]].concat(), ..good };
    assert!(!opens(&longer));
}
