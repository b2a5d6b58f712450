//! `cargo run -p keyhaven-fuzz`: writes the seeds to `tests/fuzz/seeds/`, one folder a target.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for target in keyhaven_fuzz::TARGETS {
        let folder = root.join(target.name);
        fs::create_dir_all(&folder)?;
        for seed in (target.seeds)() {
            fs::write(folder.join(seed.name), seed.bytes)?;
        }
    }
    Ok(())
}
