//! RFC 9421 allows many spellings; each of them but ours is refused.

use proptest::prelude::*;

use super::*;

const COMPONENTS: [&str; 4] = ["\"@method\"", "\"@path\"", "\"@query\"", "\"content-digest\""];

fn params() -> SignatureParams {
    SignatureParams {
        created: 1_618_884_473,
        nonce: [0x5a; 16],
        device: DeviceId::from_thumbprint([0xa5; 32]),
    }
}

/// The parameters as a device writes them, apart.
fn parts() -> [String; 5] {
    let nonce = Base64UrlUnpadded::encode_string(&params().nonce);
    [
        format!("created={}", params().created),
        format!("nonce=\"{nonce}\""),
        format!("keyid=\"{}\"", params().device),
        "alg=\"ecdsa-p256-sha256\"".to_owned(),
        "tag=\"keyhaven-device\"".to_owned(),
    ]
}

fn input(components: &[&str], parts: &[String]) -> String {
    format!("keyhaven=({});{}", components.join(" "), parts.join(";"))
}

/// Every order of these.
fn orders<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let places = 0..items.len();
    let all = places.flat_map(|at| {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        orders(&rest).into_iter().map(move |tail| [vec![first.clone()], tail].concat())
    });
    all.collect()
}

fn is_read(value: &str) -> bool {
    SignatureParams::parse(value).is_ok()
}

#[test]
fn of_all_orders_of_components_and_parameters_one_is_read() {
    let in_order = |order: &Vec<&str>| is_read(&input(order, &parts()));
    let components: Vec<_> = orders(&COMPONENTS).into_iter().filter(in_order).collect();
    assert_eq!(components, [COMPONENTS.to_vec()]);
    let read = |order: &Vec<String>| is_read(&input(&COMPONENTS, order));
    let all = orders(&parts());
    assert_eq!(all.len(), 120);
    assert_eq!(all.into_iter().filter(read).collect::<Vec<_>>(), [parts().to_vec()]);
}

#[test]
fn nothing_may_be_missing_or_stand_twice() {
    for at in 0..COMPONENTS.len() {
        let mut fewer = COMPONENTS.to_vec();
        let component = fewer.remove(at);
        assert!(!is_read(&input(&fewer, &parts())), "without {component}");
        let more = [COMPONENTS.as_slice(), &[component]].concat();
        assert!(!is_read(&input(&more, &parts())), "{component} twice");
    }
    for at in 0..parts().len() {
        let mut fewer = parts().to_vec();
        let part = fewer.remove(at);
        assert!(!is_read(&input(&COMPONENTS, &fewer)), "without {part}");
        let mut twice = parts().to_vec();
        twice.insert(at, part.clone());
        assert!(!is_read(&input(&COMPONENTS, &twice)), "{part} twice");
    }
}

#[test]
fn further_parameters_and_components_are_refused_wherever_they_stand() {
    for extra in ["expires=1718884473", "a=1", "a", "x=\"y\"", "created=1", "alg=\"hmac-sha256\""] {
        for at in 0..=parts().len() {
            let mut more = parts().to_vec();
            more.insert(at, extra.to_owned());
            assert!(!is_read(&input(&COMPONENTS, &more)), "{extra} at {at}");
        }
    }
    for extra in ["\"@authority\"", "\"date\"", "\"@query-param\";name=\"x\"", "\"@path\";req", ""]
    {
        for at in 0..=COMPONENTS.len() {
            let mut more = COMPONENTS.to_vec();
            more.insert(at, extra);
            assert!(!is_read(&input(&more, &parts())), "{extra} at {at}");
        }
    }
}

#[test]
fn white_space_is_refused_wherever_it_stands() {
    let good = params().signature_input();
    for space in [' ', '\t', '\n', '\r', '\0', '\u{a0}'] {
        for at in 0..=good.len() {
            let mut other = good.clone();
            other.insert(at, space);
            assert!(!is_read(&other), "{space:?} at {at}");
        }
    }
}

#[test]
fn every_other_character_anywhere_is_refused_or_says_something_else() {
    let good = params().signature_input();
    for at in 0..good.len() {
        for to in ['a', 'B', '0', '9', '"', ';', ',', '=', '(', ')', '\\', '-', '_', '+', '%'] {
            let mut other = good.clone();
            other.replace_range(at..=at, to.encode_utf8(&mut [0; 4]));
            let read = SignatureParams::parse(&other);
            assert_eq!(read == Ok(params()), other == good, "{other}");
            assert!(read.is_err() || read.unwrap().signature_input() == other, "{other}");
        }
    }
}

#[test]
fn times_are_plain_numbers_of_at_most_15_digits() {
    let at = |created: &str| {
        let [_, nonce, device, alg, tag] = parts();
        let parts = [format!("created={created}"), nonce, device, alg, tag];
        SignatureParams::parse(&input(&COMPONENTS, &parts)).map(|params| params.created)
    };
    for good in [0, 1, 1_618_884_473, 999_999_999_999_999] {
        assert_eq!(at(&good.to_string()), Ok(good));
    }
    for bad in [
        "",
        "-1",
        "-0",
        "+1",
        "00",
        "01",
        "1.0",
        "1e3",
        "0x10",
        "1_000",
        "\"1\"",
        "?1",
        "1000000000000000",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999999999999999",
        "\u{661}",
    ] {
        assert_eq!(at(bad), Err(MalformedSignature), "{bad:?}");
    }
}

#[test]
fn nonces_have_16_bytes_in_one_spelling() {
    let with = |nonce: &str| {
        let [created, _, device, alg, tag] = parts();
        is_read(&input(&COMPONENTS, &[created, format!("nonce=\"{nonce}\""), device, alg, tag]))
    };
    for length in 0..40 {
        assert_eq!(with(&Base64UrlUnpadded::encode_string(&vec![7; length])), length == 16);
    }
    // Padded, of the other alphabet, and with bits that mean nothing.
    for bad in ["AAAAAAAAAAAAAAAAAAAAAA==", "++++++++++++++++++++Aw", "AAAAAAAAAAAAAAAAAAAAAB"] {
        assert!(!with(bad), "{bad}");
    }
}

#[test]
fn examples_of_rfc_9421_that_are_no_device_s_are_refused() {
    for example in [
        "sig-b21=();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"",
        "sig-b22=(\"@authority\" \"content-digest\" \"@query-param\";name=\"Pet\")\
         ;created=1618884473;keyid=\"test-key-rsa-pss\";tag=\"header-example\"",
        "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")\
         ;created=1618884473;keyid=\"test-key-ed25519\"",
        "",
        "keyhaven",
        "keyhaven=",
        "keyhaven=()",
    ] {
        assert!(!is_read(example), "{example}");
    }
}

#[test]
fn labels_may_not_be_repeated() {
    let (input, signature) = (params().signature_input(), signature_header(&[7; 64]));
    let digest = ContentDigest::of(b"x").to_string();
    for join in [",", ", ", ";", " ", ""] {
        assert!(!is_read(&format!("{input}{join}{input}")), "{join:?}");
        assert!(parse_signature(&format!("{signature}{join}{signature}")).is_err(), "{join:?}");
        assert!(ContentDigest::parse(&format!("{digest}{join}{digest}")).is_err(), "{join:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(created in 0..=MAX_INTEGER, nonce: [u8; 16], device: [u8; 32]) {
        let params = SignatureParams { created, nonce, device: DeviceId::from_thumbprint(device) };
        prop_assert_eq!(SignatureParams::parse(&params.signature_input()), Ok(params));
    }

    #[test]
    fn any_text_is_answered_without_a_panic_and_read_in_one_spelling(
        text in "(sha-256=:|keyhaven=:)?[A-Za-z0-9+/_=-]{0,90}:?|.{0,60}",
    ) {
        if let Ok(digest) = ContentDigest::parse(&text) {
            prop_assert_eq!(digest.to_string(), text.as_str());
        }
        if let Ok(signature) = parse_signature(&text) {
            prop_assert_eq!(signature_header(&signature), text.as_str());
        }
        prop_assert!(SignatureParams::parse(&text).is_err());
    }

    #[test]
    fn digests_and_signatures_round_trip(body: Vec<u8>, half: [u8; 32]) {
        let digest = ContentDigest::of(&body);
        prop_assert_eq!(ContentDigest::parse(&digest.to_string()), Ok(digest));
        let signature: [u8; 64] = [half, half].concat().try_into().unwrap();
        prop_assert_eq!(parse_signature(&signature_header(&signature)), Ok(signature));
    }

    #[test]
    fn two_requests_never_have_the_same_base(
        one in ("GET|POST", "/[a?&=\"]{0,4}", 0_u8..3),
        other in ("GET|POST", "/[a?&=\"]{0,4}", 0_u8..3),
    ) {
        let base = |(method, target, body): &(String, String, u8)| {
            let digest = ContentDigest::of(&[*body]);
            signature_base(method, target, &digest, &params()).unwrap()
        };
        // A lone `?` at the end is the one spelling that two targets share (RFC 9421 §2.2.7).
        let target = |target: &str| match target.split_once('?') {
            None => format!("{target}?"),
            Some(_) => target.to_owned(),
        };
        let same = (&one.0, target(&one.1), one.2) == (&other.0, target(&other.1), other.2);
        prop_assert_eq!(same, base(&one) == base(&other));
        prop_assert_eq!(base(&one).lines().count(), 5);
    }
}
