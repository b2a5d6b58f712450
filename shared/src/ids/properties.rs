//! Every id has exactly one spelling, whatever its bytes.

use proptest::prelude::*;

use super::*;

#[test]
fn only_version_and_variant_bits_are_set_on_random_bytes() {
    let zeros = TicketId::from_random([0; 16]).to_string();
    assert_eq!(zeros, "00000000-0000-4000-8000-000000000000");
    let ones = TicketId::from_random([0xff; 16]).to_string();
    assert_eq!(ones, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert_eq!(TicketId::from_bytes([0xff; 16]).as_bytes(), &[0xff; 16]);
}

#[test]
fn errors_name_the_kind_of_id_and_what_was_expected() {
    let messages = [
        "x".parse::<DeploymentId>().unwrap_err(),
        "x".parse::<KeyringId>().unwrap_err(),
        "x".parse::<KeyId>().unwrap_err(),
        "x".parse::<TokenId>().unwrap_err(),
        "x".parse::<TicketId>().unwrap_err(),
        "x".parse::<DeviceId>().unwrap_err(),
    ]
    .map(|error| error.to_string());
    let kinds = ["deployment id", "keyring id", "key id", "token id", "ticket id", "device id"];
    for (message, kind) in messages.iter().zip(kinds) {
        assert!(message.starts_with(&format!("not a well-formed {kind}: expected ")), "{message}");
    }
    assert!(messages[5].contains("base64url"));
}

#[test]
fn hyphens_stand_in_their_places_and_nowhere_else() {
    let digits = "0123456789abcdef0123456789abcdef";
    for places in [[8, 12, 16, 21], [7, 12, 16, 20], [8, 13, 16, 20], [9, 12, 16, 20]] {
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if places.contains(&at) {
                text.push('-');
            }
            text.push(digit);
        }
        assert_eq!(text.len(), 36);
        assert!(text.parse::<KeyId>().is_err(), "{text}");
    }
}

#[test]
fn every_other_character_in_a_uuid_is_refused() {
    let good = "01234567-89ab-4def-8123-456789abcdef";
    assert!(good.parse::<KeyId>().is_ok());
    for (at, from) in good.char_indices() {
        for to in ['g', 'A', 'F', ' ', '-', '+', ':', '/', '`', '\0', '\u{e9}', '\u{ff10}'] {
            let changed: String =
                good.char_indices().map(|(i, c)| if i == at { to } else { c }).collect();
            assert_eq!(changed.parse::<KeyId>().is_ok(), from == to, "{changed}");
        }
    }
}

#[test]
fn the_last_character_of_a_device_id_has_no_spare_bits() {
    let text = DeviceId::from_thumbprint([0xff; 32]).to_string();
    let stem: String = text.chars().take(42).collect();
    let read = (0..=127_u8).filter(|last| {
        let other = format!("{stem}{}", char::from(*last));
        other.parse::<DeviceId>().is_ok_and(|id| id.to_string() == other)
    });
    // 43 characters hold 258 bits: the last two must be zero, so a quarter of the alphabet is left.
    assert_eq!(read.map(char::from).collect::<String>(), "048AEIMQUYcgkosw");
    for last in ["B", "R", "9", "_", "=", "A="] {
        assert!(format!("{stem}{last}").parse::<DeviceId>().is_err(), "{last}");
    }
}

proptest! {
    #[test]
    fn uuids_round_trip_and_are_written_as_the_formatter_would(bytes: [u8; 16]) {
        let text = KeyId::from_bytes(bytes).to_string();
        let value = u128::from_be_bytes(bytes);
        prop_assert_eq!(text.replace('-', ""), format!("{value:032x}"));
        prop_assert_eq!(text.parse(), Ok(KeyId::from_bytes(bytes)));
        prop_assert_eq!(text.parse(), Ok(KeyringId::from_bytes(bytes)));
        prop_assert_eq!(text.parse(), Ok(DeploymentId::from_bytes(bytes)));
        prop_assert_eq!(text.parse(), Ok(TokenId::from_bytes(bytes)));
        prop_assert_eq!(text.parse(), Ok(TicketId::from_bytes(bytes)));
        prop_assert_eq!(format!("{:?}", KeyId::from_bytes(bytes)), text);
    }

    #[test]
    fn marking_random_bytes_twice_marks_them_once(bytes: [u8; 16]) {
        let once = KeyId::from_random(bytes);
        prop_assert_eq!(KeyId::from_random(*once.as_bytes()), once);
        prop_assert_eq!(once.as_bytes()[6] >> 4, 4);
        prop_assert_eq!(once.as_bytes()[8] >> 6, 2);
    }

    #[test]
    fn text_that_is_read_is_the_text_that_would_be_written(text in "[0-9a-fA-F-]{30,40}|.{0,50}") {
        if let Ok(id) = text.parse::<KeyId>() {
            prop_assert_eq!(id.to_string(), text.as_str());
        }
        if let Ok(id) = text.parse::<DeviceId>() {
            prop_assert_eq!(id.to_string(), text.as_str());
        }
    }

    #[test]
    fn device_ids_round_trip(bytes: [u8; 32]) {
        let id = DeviceId::from_thumbprint(bytes);
        prop_assert_eq!(id.to_string().len(), 43);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(format!("{id:?}"), id.to_string());
    }

    #[test]
    fn versions_rise_by_one(number in 1_u32..) {
        let version = Version::new(number).unwrap();
        prop_assert_eq!(version.number(), number);
        prop_assert_eq!(version.to_string(), number.to_string());
        let next = version.next().map(|next| (next > version, next.number() - number));
        prop_assert_eq!(next, (number < u32::MAX).then_some((true, 1)));
    }
}
