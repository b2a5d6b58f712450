//! What is encrypted for a key and a place: only the genuine bytes open, and they open there only.

use keyhaven_shared::{
    ciphertext::{self, Ciphertext},
    hpke::Sealed,
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

/// What is sealed to a public key: `enc`, then the ciphertext.
pub fn sealing(data: &[u8]) {
    let Some((enc, ciphertext)) = data.split_first_chunk::<32>() else { return };
    let sealed = Sealed { enc: *enc, ciphertext: ciphertext.to_vec() };
    let private = genuine::sealing_private_key();
    let opened = genuine::SUITE.open_with_private(&private, &genuine::BINDING, &sealed);
    static GENUINE: Genuine = Genuine::new(seeds::sealings);
    let is_genuine = is_among(&GENUINE, data);
    assert_eq!(opened.is_ok(), is_genuine);
}
