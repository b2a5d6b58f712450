//! What somebody with the token's PIN tries on our keys and beside them (Clulow, CHES 2003; Tookan,
//! CCS 2010).

use cryptoki::{
    error::Error,
    mechanism::{Mechanism, MechanismType, ekdf::AesCbcDeriveParams},
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};

use super::{
    super::{ed25519, template},
    *,
};

fn objects(session: &Session, key: HsmKey, class: ObjectClass) -> Vec<ObjectHandle> {
    let label = Attribute::Label(key.to_string().into_bytes());
    session.find_objects(&[label, Attribute::Class(class)]).unwrap()
}

/// A root's template with one attribute changed.
fn root_with(key: HsmKey, changed: &Attribute) -> Vec<Attribute> {
    let mut template = template::root().labelled(&key.to_string());
    template.retain(|attribute| attribute.attribute_type() != changed.attribute_type());
    template.push(changed.clone());
    template
}

#[test]
fn a_second_key_under_the_label_is_refused_by_every_use() {
    on_own_token("attacks::a_second_key_under_the_label_is_refused_by_every_use", |directory| {
        let hsm = open(directory);
        let beside = session_beside(directory);
        for (epoch, token) in [(1, true), (2, false)] {
            let key = root(epoch);
            run(hsm.make_key(&PERMIT, key)).unwrap();
            let template = root_with(key, &Attribute::Token(token));
            let decoy = beside.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
            let checked = run(hsm.check_key(key));
            assert!(matches!(checked, Err(HsmError::WrongAttribute { .. })), "{checked:?}");
            let sealed = run(hsm.seal(&PERMIT, key, vec![], &secret()));
            assert!(matches!(sealed, Err(HsmError::WrongAttribute { .. })), "{sealed:?}");
            beside.destroy_object(decoy).unwrap();
            run(hsm.check_key(key)).unwrap();
        }
    });
}

#[test]
fn a_key_with_any_other_attribute_is_refused() {
    on_own_token("attacks::a_key_with_any_other_attribute_is_refused", |directory| {
        let hsm = open(directory);
        let beside = session_beside(directory);
        for (epoch, changed) in (1..).zip([
            Attribute::Extractable(true),
            Attribute::Sensitive(false),
            Attribute::Modifiable(true),
            Attribute::Copyable(true),
            Attribute::Private(false),
            Attribute::Wrap(true),
            Attribute::Unwrap(true),
            Attribute::Sign(true),
            Attribute::Verify(true),
            Attribute::Derive(true),
            Attribute::Encrypt(false),
            Attribute::ValueLen(16.into()),
            Attribute::WrapWithTrusted(false),
            Attribute::AllowedMechanisms(vec![MechanismType::AES_CBC, MechanismType::AES_GCM]),
        ]) {
            let key = root(epoch);
            let template = root_with(key, &changed);
            beside.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
            for answer in [
                run(hsm.check_key(key)),
                run(hsm.open(key, vec![], vec![0; 60])).map(drop),
                run(hsm.seal(&PERMIT, key, vec![], &secret())).map(drop),
            ] {
                let named = format!("it is {changed:?}, not ");
                assert!(
                    matches!(&answer, Err(HsmError::WrongAttribute { attribute, .. })
                    if attribute.starts_with(&named)),
                    "{changed:?}: {answer:?}"
                );
            }
        }
    });
}

#[test]
fn a_signing_key_with_any_other_attribute_is_refused() {
    on_own_token("attacks::a_signing_key_with_any_other_attribute_is_refused", |directory| {
        let hsm = open(directory);
        let beside = session_beside(directory);
        let label = log().to_string();
        for changed in [
            Attribute::Extractable(true),
            Attribute::Sensitive(false),
            Attribute::Modifiable(true),
            Attribute::Copyable(true),
            Attribute::Private(false),
            Attribute::Unwrap(true),
            Attribute::Decrypt(true),
            Attribute::SignRecover(true),
            Attribute::Derive(true),
            Attribute::Sign(false),
            Attribute::WrapWithTrusted(false),
            Attribute::AllowedMechanisms(vec![MechanismType::ECDSA, MechanismType::EDDSA]),
        ] {
            let mut private = template::signer().labelled(&label);
            private.retain(|attribute| attribute.attribute_type() != changed.attribute_type());
            private.push(changed.clone());
            let public = template::verifier().labelled(&label);
            let made = ed25519::generate(&beside, &public, &private).unwrap();
            for answer in [
                run(hsm.check_key(log())),
                run(hsm.sign(log(), b"checkpoint".to_vec())).map(drop),
                run(hsm.public_key(log())).map(drop),
            ] {
                let named = format!("it is {changed:?}, not ");
                assert!(
                    matches!(&answer, Err(HsmError::WrongAttribute { attribute, .. })
                    if attribute.starts_with(&named)),
                    "{changed:?}: {answer:?}"
                );
            }
            made.into_iter().for_each(|object| beside.destroy_object(object).unwrap());
        }
    });
}

#[test]
fn any_other_object_under_the_label_of_a_key_is_refused() {
    on_own_token("attacks::any_other_object_under_the_label_of_a_key_is_refused", |directory| {
        let hsm = open(directory);
        let beside = session_beside(directory);
        for key in [root(1), log()] {
            run(hsm.make_key(&PERMIT, key)).unwrap();
            let label = Attribute::Label(key.to_string().into_bytes());
            let note = [Attribute::Class(ObjectClass::DATA), Attribute::Token(true), label];
            let note = beside.create_object(&note).unwrap();
            let answer = run(hsm.check_key(key));
            assert!(
                matches!(&answer, Err(HsmError::WrongAttribute { attribute, .. })
                if attribute.starts_with("CKA_LABEL")),
                "{answer:?}"
            );
            beside.destroy_object(note).unwrap();
            run(hsm.check_key(key)).unwrap();
        }
    });
}

#[test]
fn a_key_that_was_brought_in_is_refused() {
    on_own_token("attacks::a_key_that_was_brought_in_is_refused", |directory| {
        let hsm = open(directory);
        let beside = session_beside(directory);
        // ValueLen may not be given beside a value.
        let mut template = root_with(root(1), &Attribute::ValueLen(32.into()));
        template.pop();
        template.push(Attribute::Value(vec![3; 32]));
        beside.create_object(&template).unwrap();
        let answer = run(hsm.check_key(root(1)));
        assert!(matches!(answer, Err(HsmError::WrongAttribute { .. })), "{answer:?}");
    });
}

#[test]
fn a_swapped_public_key_is_refused() {
    on_own_token("attacks::a_swapped_public_key_is_refused", |directory| {
        let hsm = open(directory);
        let beside = session_beside(directory);
        run(hsm.make_key(&PERMIT, log())).unwrap();
        for public in objects(&beside, log(), ObjectClass::PUBLIC_KEY) {
            beside.destroy_object(public).unwrap();
        }
        let [public, private] = [template::verifier(), template::signer()];
        let label = log().to_string();
        ed25519::generate(&beside, &public.labelled(&label), &private.labelled("mine")).unwrap();
        let answer = run(hsm.check_key(log()));
        assert!(
            matches!(&answer, Err(HsmError::WrongAttribute { attribute, .. })
            if attribute.contains("public key")),
            "{answer:?}"
        );
    });
}

#[test]
fn a_key_destroyed_or_replaced_behind_our_back_is_noticed() {
    on_own_token("attacks::a_key_destroyed_or_replaced_behind_our_back_is_noticed", |directory| {
        let hsm = open(directory);
        let beside = session_beside(directory);
        run(hsm.make_key(&PERMIT, root(1))).unwrap();
        let sealed = run(hsm.seal(&PERMIT, root(1), vec![], &secret())).unwrap();
        assert!(run(hsm.open(root(1), vec![], sealed.clone())).is_ok());
        for object in objects(&beside, root(1), ObjectClass::SECRET_KEY) {
            beside.destroy_object(object).unwrap();
        }
        let answer = run(hsm.open(root(1), vec![], sealed.clone())).map(drop);
        assert_eq!(answer, Err(HsmError::Missing(root(1))));
        let template = template::root().labelled(&root(1).to_string());
        beside.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
        let answer = run(hsm.open(root(1), vec![], sealed)).map(drop);
        assert_eq!(answer, Err(HsmError::NotOpened));
    });
}

#[test]
fn the_token_lets_no_key_of_ours_out() {
    on_own_token("attacks::the_token_lets_no_key_of_ours_out", |directory| {
        let hsm = open(directory);
        let beside = session_beside(directory);
        run(hsm.make_key(&PERMIT, root(1))).unwrap();
        run(hsm.make_key(&PERMIT, log())).unwrap();
        let wrapping = [
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(32.into()),
            Attribute::Wrap(true),
            Attribute::Decrypt(true),
            Attribute::Unwrap(true),
        ];
        let wrapping = beside.generate_key(&Mechanism::AesKeyGen, &wrapping).unwrap();
        // The controls: the token does wrap, copy and change a key that is not protected.
        let open = [Attribute::ValueLen(32.into()), Attribute::Extractable(true)];
        let open = beside.generate_key(&Mechanism::AesKeyGen, &open).unwrap();
        let wrapped = beside.wrap_key(&Mechanism::AesKeyWrap, wrapping, open).unwrap();
        beside.copy_object(open, &[Attribute::Label(b"copy".to_vec())]).unwrap();
        beside.update_attributes(open, &[Attribute::Label(b"other".to_vec())]).unwrap();
        let root_object = objects(&beside, root(1), ObjectClass::SECRET_KEY)[0];
        let log_object = objects(&beside, log(), ObjectClass::PRIVATE_KEY)[0];
        for ours in [root_object, log_object] {
            for mechanism in [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad] {
                let wrap = |by, key| code_of(beside.wrap_key(&mechanism, by, key));
                assert_eq!(wrap(wrapping, ours), "KeyUnextractable");
                assert_ne!(wrap(ours, open), "no error", "ours wraps nothing");
            }
            for change in [
                Attribute::Extractable(true),
                Attribute::Sensitive(false),
                Attribute::Wrap(true),
                Attribute::Unwrap(true),
                Attribute::Decrypt(true),
                Attribute::Derive(true),
                Attribute::Modifiable(true),
                Attribute::Copyable(true),
                Attribute::Token(false),
                Attribute::Label(b"other".to_vec()),
            ] {
                let change = [change];
                let changed = code_of(beside.update_attributes(ours, &change));
                assert_eq!(changed, "ActionProhibited", "{change:?}");
                let copied = code_of(beside.copy_object(ours, &change));
                assert_eq!(copied, "ActionProhibited", "{change:?}");
            }
            let secrets = [AttributeType::Value];
            assert_eq!(beside.get_attributes(ours, &secrets).unwrap(), [], "a value came out");
        }
        assert_eq!(code_of(beside.wrap_key(&Mechanism::AesKeyWrap, root_object, open)), FORBIDDEN);
        let template =
            [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::KeyType(KeyType::AES)];
        let unwrap = |by| beside.unwrap_key(&Mechanism::AesKeyWrap, by, &wrapped, &template);
        assert_eq!(code_of(unwrap(root_object)), FORBIDDEN);
        run(hsm.check_key(root(1))).unwrap();
        run(hsm.check_key(log())).unwrap();
    });
}

/// Clulow and Tookan: what a key can be made to do besides its one thing, or together with others.
#[test]
fn our_keys_do_their_one_thing_and_by_one_mechanism() {
    on_own_token("attacks::our_keys_do_their_one_thing_and_by_one_mechanism", |directory| {
        let hsm = open(directory);
        let beside = session_beside(directory);
        for key in [root(1), log()] {
            run(hsm.make_key(&PERMIT, key)).unwrap();
        }
        let root_object = objects(&beside, root(1), ObjectClass::SECRET_KEY)[0];
        let log_object = objects(&beside, log(), ObjectClass::PRIVATE_KEY)[0];
        // The control: a key that says nothing of it does all of this.
        let open = [Attribute::ValueLen(32.into()), Attribute::Derive(true)];
        let open = beside.generate_key(&Mechanism::AesKeyGen, &open).unwrap();
        let (iv, block) = ([0; 16], [0; 32]);
        let derived = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::ValueLen(32.into()),
        ];
        let derive = |from| {
            let parameters = AesCbcDeriveParams::new(iv, &block);
            code_of(beside.derive_key(&Mechanism::AesCbcEncryptData(parameters), from, &derived))
        };
        assert_eq!(derive(open), "no error");
        assert_ne!(derive(root_object), "no error", "a key comes out of the root");
        assert_ne!(derive(log_object), "no error", "a key comes out of the log key");
        for mechanism in [Mechanism::AesEcb, Mechanism::AesCbc(iv), Mechanism::AesCbcPad(iv)] {
            assert_eq!(code_of(beside.encrypt(&mechanism, open, &block)), "no error");
            for ours in [root_object, log_object] {
                assert_ne!(code_of(beside.encrypt(&mechanism, ours, &block)), "no error");
                assert_ne!(code_of(beside.decrypt(&mechanism, ours, &block)), "no error");
            }
        }
        for ours in [root_object, log_object] {
            for mechanism in [Mechanism::AesCMac, Mechanism::Sha256Hmac, Mechanism::Ecdsa] {
                assert_ne!(code_of(beside.sign(&mechanism, ours, &block)), "no error");
            }
        }
        assert_eq!(code_of(beside.sign(&Mechanism::AesCMac, open, &block)), "no error");
        // A key of known bytes, encrypted as data, is not to come back as a key object under the root.
        let sealed = run(hsm.seal(&PERMIT, root(1), vec![], &secret())).unwrap();
        for mechanism in [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad] {
            let unwrapped = beside.unwrap_key(&mechanism, root_object, &sealed[..40], &derived);
            assert_ne!(code_of(unwrapped), "no error");
        }
    });
}

const FORBIDDEN: &str = "KeyFunctionNotPermitted";

fn code_of<T>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Pkcs11(code, _)) => format!("{code:?}"),
        Err(other) => other.to_string(),
        Ok(_) => "no error".to_owned(),
    }
}
