//! "Was this already done with the same inputs?"

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    failure::{Failure, Outcome},
    project,
};

/// A note beside what a step made, holding a digest of what it was made from.
#[derive(Debug)]
pub(crate) struct Stamp {
    path: PathBuf,
    digest: String,
}

impl Stamp {
    /// Digests the inputs: files, folders (every file in them) and words such as versions and flags.
    /// A missing input counts as such, so that its arrival is a change.
    pub(crate) fn new(path: PathBuf, files: &[&Path], words: &[&str]) -> Outcome<Self> {
        let mut digest = Digest::default();
        for word in words {
            digest.add(word.as_bytes());
        }
        for file in files {
            digest.add_path(file)?;
        }
        Ok(Self { path, digest: format!("{:016x}", digest.0) })
    }

    /// True if the step was last done with these inputs.
    pub(crate) fn is_fresh(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|found| found.trim() == self.digest)
    }

    /// Notes that the step is done.
    pub(crate) fn set(&self) -> Outcome {
        project::write(&self.path, &self.digest)
    }
}

/// FNV-1a, 64 bits: nobody attacks these notes, and it needs no dependency.
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        for byte in length.iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn add_path(&mut self, path: &Path) -> Outcome {
        self.add(path.as_os_str().as_encoded_bytes());
        if path.is_dir() {
            let entries = fs::read_dir(path).map_err(|error| Failure::file(path, &error))?;
            let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            entries.sort();
            return entries.iter().try_for_each(|entry| self.add_path(entry));
        }
        match fs::read(path) {
            Ok(bytes) => self.add(&bytes),
            Err(_) => self.add(b"missing"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_fresh_until_an_input_changes() {
        let folder = std::env::temp_dir().join(format!("keyhaven-stamp-{}", std::process::id()));
        let (input, note) = (folder.join("in/a.txt"), folder.join("note"));
        project::write(&input, "one").unwrap();
        let stamp = |word| Stamp::new(note.clone(), &[&folder.join("in")], &[word]).unwrap();

        assert!(!stamp("v1").is_fresh());
        stamp("v1").set().unwrap();
        assert!(stamp("v1").is_fresh());
        assert!(!stamp("v2").is_fresh());
        project::write(&input, "two").unwrap();
        assert!(!stamp("v1").is_fresh());
        fs::remove_dir_all(folder).unwrap();
    }
}
