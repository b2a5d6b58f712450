//! What stays in memory after a key is stopped: nothing of it.

use super::world::{World, alias_of};
use crate::op::key_state::DisableKey;

/// Where a pattern stands in this process's writable memory. The pattern comes with every bit flipped,
/// so that the search finds only what the engine left and not its own argument. The searching thread's own
/// stack is passed over: the next calls overwrite what a call left there, but at no certain time.
fn places_of(flipped: &[u8; 32]) -> usize {
    use std::io::{Read, Seek, SeekFrom};
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
    let (mut found, here) = (0, std::ptr::from_ref(&memory).addr() as u64);
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (start, end) =
            (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        if (start..end).contains(&here) {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        if memory.seek(SeekFrom::Start(start)).is_err() || memory.read_exact(&mut bytes).is_err() {
            continue;
        }
        for byte in &mut bytes {
            *byte = !*byte;
        }
        found += bytes.windows(32).filter(|window| window == flipped).count();
    }
    found
}

#[tokio::test]
async fn a_disabled_keys_material_is_gone_from_memory() {
    let world = World::new().await;
    let admin = world.admin().await;
    let mut flipped = {
        // The material of the next key is what this generator gives first.
        use rand_core::{Rng, SeedableRng};
        let mut bytes = [0; 32];
        chacha20::ChaCha20Rng::from_seed([0x5a; 32]).fill_bytes(&mut bytes);
        bytes
    };
    for byte in &mut flipped {
        *byte = !*byte;
    }
    // Seeds are taken last first: the key's id comes from an ordinary one, then the material.
    world.environment.plant_seed([0x5a; 32]);
    world.environment.plant_seed([0x11; 32]);
    world.key("photos").await;
    world.encrypt(&admin, "photos").await.unwrap();
    assert!(places_of(&flipped) > 0, "the search finds a key that is in use");
    world.engine.execute(&admin, &DisableKey { key: alias_of("photos") }).await.unwrap();
    // Other work passes over what was left on the stack.
    world.key("music").await;
    world.encrypt(&admin, "music").await.unwrap();
    assert_eq!(places_of(&flipped), 0);
}
