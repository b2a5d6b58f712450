//! Keyrings and keys.

use super::{StringMap, documents};

documents! {
    /// Makes a keyring.
    // Words, and not the types of `key_spec`: a document of a newer server must not fail to parse
    // in an older client. The server parses them, and its refusal lists the words.
    CreateKeyring {
        /// 1 to 63 of `a-z 0-9 . _ -`, beginning with a letter or digit; unique, never used again.
        name: String,
    }

    /// A keyring.
    Keyring {
        /// Its name.
        name: String,
        /// Its id (a UUID).
        id: String,
        /// Counts its root keys in the HSM; goes up when the root is replaced.
        root_epoch: u32,
        /// When it was made.
        created_at: u64,
    }

    /// A page of keyrings.
    KeyringList {
        /// In order of name.
        keyrings: Vec<Keyring>,
        /// Ask again with `after` set to this for the next page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// Makes a key.
    CreateKey {
        /// The keyring's name; `default` when left out.
        #[serde(default = "default_keyring")]
        keyring: String,
        /// A first alias for the key, free within its keyring.
        #[serde(default)]
        alias: Option<String>,
        /// The algorithm and size, such as `aes-256-gcm`.
        spec: String,
        /// What may leave the server: `none` or `data-keys`.
        #[serde(default = "default_distribution")]
        distribution: String,
        /// The longest that a device may use a data key without a renewed lease, 0 to 604800 (7 days).
        #[serde(default)]
        max_offline_grace_s: u32,
        /// Free labels, which policies can see.
        #[serde(default)]
        tags: StringMap,
    }

    /// A version of a key.
    KeyVersion {
        /// Counts from 1.
        version: u32,
        /// When it was made.
        created_at: u64,
    }

    /// A key.
    Key {
        /// Its id (a UUID).
        id: String,
        /// Its keyring's name.
        keyring: String,
        /// The names it has within its keyring.
        aliases: Vec<String>,
        /// Algorithm and size.
        spec: String,
        /// What it is used for.
        usage: String,
        /// Where its material came from.
        origin: String,
        /// Where it is used.
        protection: String,
        /// What may leave the server.
        distribution: String,
        /// `enabled`, `disabled`, `pending-destruction` or `destroyed`.
        state: String,
        /// The day of destruction, while it is pending.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        destruction_at: Option<u64>,
        /// The version that new encryptions use.
        primary_version: u32,
        /// All versions.
        versions: Vec<KeyVersion>,
        /// The longest offline grace a device may be given, in seconds.
        max_offline_grace_s: u32,
        /// Free labels.
        tags: StringMap,
        /// When it was made.
        created_at: u64,
    }

    /// A page of keys.
    KeyList {
        /// In order of id.
        keys: Vec<Key>,
        /// Ask again with `after` set to this for the next page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// Replaces a key's tags.
    TagKey {
        /// All tags the key is to have.
        tags: StringMap,
    }

    /// Schedules destruction.
    ScheduleDestruction {
        /// Days to wait, 7 to 30; 30 when left out.
        #[serde(default = "default_waiting_days")]
        waiting_days: u32,
        /// Destroys at once; in dev mode only.
        #[serde(default)]
        now: bool,
    }

    /// A request without anything to say.
    Empty {}
}

fn default_keyring() -> String {
    "default".to_owned()
}

fn default_distribution() -> String {
    "none".to_owned()
}

const fn default_waiting_days() -> u32 {
    30
}
