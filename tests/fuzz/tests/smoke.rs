//! Every target on its seeds and on simple changes of them: what the fuzzer begins with, without it.

use std::{collections::BTreeSet, fs, path::Path};

use keyhaven_fuzz::TARGETS;

fn folder(target: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target)
}

#[test]
fn every_target_takes_its_seeds_whole_cut_flipped_and_doubled() {
    for target in TARGETS {
        for file in fs::read_dir(folder(target.name)).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            (target.run)(&bytes);
            (target.run)(&[bytes.as_slice(), &bytes].concat());
            // A prime step: all of a short input's cuts and many of a long one's, at every kind of place.
            let step = if bytes.len() < 64 { 1 } else { 13 };
            for at in (0..bytes.len()).step_by(step) {
                (target.run)(&bytes[..at]);
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (at % 8);
                (target.run)(&changed);
            }
        }
    }
}

#[test]
fn the_seeds_in_their_files_are_those_that_the_program_writes() {
    for target in TARGETS {
        for seed in (target.seeds)() {
            let kept = fs::read(folder(target.name).join(&seed.name));
            let same = kept.is_ok_and(|kept| kept == seed.bytes);
            assert!(same, "run `cargo run -p keyhaven-fuzz`: {}/{}", target.name, seed.name);
        }
    }
}

#[test]
fn every_target_has_its_binary_and_no_binary_is_without_a_target() {
    let runner = Path::new(env!("CARGO_MANIFEST_DIR")).join("runner/fuzz_targets");
    let binaries = fs::read_dir(runner).unwrap();
    let binaries: BTreeSet<_> = binaries.map(|file| file.unwrap().file_name()).collect();
    let expected = TARGETS.iter().map(|target| format!("{}.rs", target.name).into());
    assert_eq!(binaries, expected.collect());
}
