//! The signature of suite 0x0578: ECDSA P-384 with SHA-384 (FIPS 186-5), by a key made for the one
//! message. Its public half stands in the encryption context, so the key that encrypts the data key
//! vouches for it: who may decrypt a message can then not pass off a message of their own as it.
//!
//! ```text
//! footer = length (2 bytes) ‖ DER (SEC 1 §C.5): 30 len ‖ 02 len r ‖ 02 len s
//! ```

/// Where the public key stands in the context: base64 of the compressed point (49 bytes).
pub(crate) const CONTEXT_KEY: &str = "aws-crypto-public-key";

/// The longest DER encoding of a P-384 signature: two integers of 49 bytes.
pub(crate) const MAX_SIGNATURE_BYTES: usize = 104;

/// Bytes of r, and of s.
const SCALAR: usize = 48;
/// r ‖ s, as WebCrypto has signatures.
const RAW: usize = 2 * SCALAR;

/// DER's tag of a sequence (X.690 §8.9).
const SEQUENCE: u8 = 0x30;
/// DER's tag of an integer (X.690 §8.3).
const INTEGER: u8 = 0x02;
/// An integer that begins with this bit would be negative without a zero before it.
const SIGN: u8 = 0x80;

/// The end of a signed message, from its signature r ‖ s.
#[must_use]
pub fn signature_footer(raw: &[u8; RAW]) -> Vec<u8> {
    let mut integers = Vec::with_capacity(MAX_SIGNATURE_BYTES);
    for scalar in raw.chunks_exact(SCALAR) {
        // DER writes an integer in as few bytes as it takes: no zeros before it but the one that
        // keeps it positive.
        let zeros = scalar.iter().take_while(|byte| **byte == 0).count();
        let digits = scalar.get(zeros..).unwrap_or_default();
        let sign: &[u8] = if digits.first().is_some_and(|byte| *byte < SIGN) { &[] } else { &[0] };
        integers.extend_from_slice(&[INTEGER, short(sign.len() + digits.len())]);
        integers.extend_from_slice(sign);
        integers.extend_from_slice(digits);
    }
    let length = short(integers.len());
    [&[0, length.saturating_add(2), SEQUENCE, length], integers.as_slice()].concat()
}

/// r ‖ s of a DER encoding; there is one of each signature. Whether they are in the range that signatures
/// have, the verifier sees.
pub(crate) fn raw_signature(der: &[u8]) -> Option<[u8; RAW]> {
    // Nothing may follow, here or below: two encodings of one signature would be two messages.
    let (integers, []) = element(SEQUENCE, der)? else { return None };
    let (r, rest) = element(INTEGER, integers)?;
    let (s, []) = element(INTEGER, rest)? else { return None };
    let mut raw = [0; RAW];
    for (scalar, digits) in raw.chunks_exact_mut(SCALAR).zip([r, s]) {
        let digits = match digits {
            [0, digits @ ..] if digits.first().is_some_and(|byte| *byte >= SIGN) => digits,
            [1..SIGN, ..] => digits,
            _ => return None,
        };
        let start = SCALAR.checked_sub(digits.len())?;
        scalar.get_mut(start..)?.copy_from_slice(digits);
    }
    Some(raw)
}

/// An element's content and what comes after it. Nothing here is so long that its length takes two bytes.
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [found, length @ ..SIGN, rest @ ..] = bytes else { return None };
    if *found == tag { rest.split_at_checked(usize::from(*length)) } else { None }
}

/// A length in one byte: no part of a P-384 signature has 128 bytes or more.
fn short(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use p384::ecdsa::Signature;
    use proptest::prelude::*;

    use super::*;

    /// Short, long and middling integers, of which the crate `ecdsa` takes all but zero and the too great.
    fn raw() -> impl Strategy<Value = [u8; RAW]> {
        let scalar = || (0_usize..SCALAR, prop::array::uniform32(any::<u8>()), any::<[u8; 16]>());
        (scalar(), scalar()).prop_map(|parts| {
            let mut raw = [0; RAW];
            for (into, (zeros, one, two)) in raw.chunks_exact_mut(SCALAR).zip([parts.0, parts.1]) {
                into.copy_from_slice(&[one.as_slice(), &two].concat());
                into[..zeros].fill(0);
            }
            raw
        })
    }

    proptest! {
        #[test]
        fn the_encoding_is_the_one_of_the_crate_ecdsa(raw in raw()) {
            let Ok(signature) = Signature::from_slice(&raw) else { return Ok(()) };
            let footer = signature_footer(&raw);
            let der = signature.to_der();
            prop_assert_eq!(&footer[2..], der.as_bytes());
            prop_assert_eq!(usize::from(u16::from_be_bytes([footer[0], footer[1]])), der.as_bytes().len());
            prop_assert_eq!(raw_signature(&footer[2..]), Some(raw));
        }

        #[test]
        fn what_the_crate_ecdsa_refuses_is_refused(raw in raw(), at in 0_usize..104, to: u8, cut in 0_usize..4) {
            let mut der = signature_footer(&raw).split_off(2);
            let at = at % der.len();
            der[at] = to;
            der.truncate(der.len() - cut);
            let theirs = Signature::from_der(&der).ok().map(|signature| signature.to_bytes().into());
            let ours = raw_signature(&der).filter(|raw| Signature::from_slice(raw).is_ok());
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn other_encodings_of_a_signature_are_refused() {
        let genuine = [0x30, 6, 2, 1, 7, 2, 1, 9];
        assert!(raw_signature(&genuine).is_some());
        let others: [&[u8]; 8] = [
            &[],
            &[0x30, 6, 2, 1, 7, 2, 1, 9, 0],
            &[0x30, 7, 2, 2, 0, 7, 2, 1, 9],
            &[0x30, 6, 2, 1, 0x80, 2, 1, 9],
            &[0x30, 6, 2, 1, 0, 2, 1, 9],
            &[0x30, 5, 2, 0, 2, 1, 9],
            &[0x30, 0x81, 6, 2, 1, 7, 2, 1, 9],
            &[0x31, 6, 2, 1, 7, 2, 1, 9],
        ];
        for other in others {
            assert_eq!(raw_signature(other), None, "{other:?}");
        }
    }
}
