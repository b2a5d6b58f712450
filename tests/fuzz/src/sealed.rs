//! What is encrypted for a key and a place: only the genuine bytes open, and they open there only.

use keyhaven_shared::{
    ciphertext::{self, Ciphertext},
    hpke::{Agreement, Sealed, SealingSuite},
    ids::Version,
    wrap,
};

use crate::{Genuine, genuine, is_among, seeds};

/// A server's ciphertext: read without trust, and opened only if it is the genuine one.
pub fn ciphertext(data: &[u8]) {
    let Ok(parsed) = Ciphertext::parse(data) else { return };
    assert!(data.len() >= ciphertext::OVERHEAD);
    let named = [parsed.key.as_bytes().as_slice(), &parsed.version.number().to_be_bytes()].concat();
    assert_eq!(data.get(5..25), Some(named.as_slice()), "the header says what it was read as");
    let opened = parsed.decrypt(&genuine::material(), &genuine::context());
    static GENUINE: Genuine = Genuine::new(seeds::ciphertexts);
    let is_genuine = is_among(&GENUINE, data);
    assert_eq!(opened.is_ok(), is_genuine);
    if let Ok(opened) = opened {
        assert_eq!(*opened, genuine::SECRET);
    }
}

/// A wrapped key version opens in its own place, unchanged, and nowhere else.
pub fn wrapped_key(data: &[u8]) {
    let unwrap = |place: &wrap::WrapBinding| wrap::unwrap(&genuine::wrapping_key(), place, data);
    static GENUINE: Genuine = Genuine::new(seeds::wrapped_keys);
    let is_genuine = is_among(&GENUINE, data);
    assert_eq!(unwrap(&genuine::binding()).is_ok(), is_genuine);
    let next = Version::FIRST.next().expect("there is a second version");
    let elsewhere = wrap::WrapBinding { version: next, ..genuine::binding() };
    assert!(unwrap(&elsewhere).is_err(), "it opened for another version");
}

/// What is sealed to a public key of either suite: `enc`, then the ciphertext.
pub fn sealing(data: &[u8]) {
    static GENUINE: Genuine = Genuine::new(seeds::sealings);
    let opens = |suite: &&SealingSuite| {
        let Some((enc, ciphertext)) = data.split_at_checked(suite.encapsulated_bytes()) else {
            return false;
        };
        let sealed = Sealed { enc: enc.to_vec(), ciphertext: ciphertext.to_vec() };
        let share = sealed.x25519_share().expect("each suite has one");
        let private = genuine::sealing_private_key();
        let agreed = Agreement::with_private(&private, share, genuine::ml_kem_of(**suite));
        let recipient = genuine::sealing_public_key(**suite);
        recipient.open(&agreed, &genuine::BINDING, &sealed).is_ok()
    };
    let opened = SealingSuite::ALL.iter().filter(opens).count();
    assert_eq!(opened, usize::from(is_among(&GENUINE, data)));
}
