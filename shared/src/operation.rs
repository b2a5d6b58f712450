//! The one vocabulary of what can be done. The policy action, the audit event, the metric label, the
//! API reference and the denial text all come from [`Operation`].
//!
//! A name is what stored policies say, and what the audit log has said since the first day:
//! renaming an operation would make those policies invalid. New operations get new names.

use core::{fmt, str::FromStr};

/// What an operation acts on; the resource a policy decides about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The installation as a whole.
    Deployment,
    /// One keyring.
    Keyring,
    /// One key.
    Key,
}

/// The word is no operation's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown operation: `keyhaven operations` lists all of them")]
pub struct UnknownOperation;

// One line declares an operation, so that no list of them can lack it: policy schema, API reference
// and the tests of who may do what all go through `ALL`.
macro_rules! operations {
    ($($(#[$doc:meta])* $variant:ident on $target:ident : $summary:literal;)+) => {
        /// Everything a caller can ask for, named once.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation { $(#[doc = $summary] $variant,)+ }

        impl Operation {
            /// Every operation, in the order of the API reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name: the Cedar action, the audit event and the metric label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }

            /// One sentence for the API reference.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)+ }
            }

            /// What the operation acts on.
            #[must_use]
            pub const fn target(self) -> Target {
                match self { $(Self::$variant => Target::$target,)+ }
            }
        }

        impl FromStr for Operation {
            type Err = UnknownOperation;

            fn from_str(name: &str) -> Result<Self, UnknownOperation> {
                match name {
                    $(stringify!($variant) => Ok(Self::$variant),)+
                    _ => Err(UnknownOperation),
                }
            }
        }
    };
}

// A summary says what the operation does to a key or a caller, in the words of the API reference.
operations! {
    Initialise on Deployment: "Sets up a new installation; the server itself does it, once.";
    CreateKeyring on Deployment: "Makes a keyring with a root key of its own in the HSM.";
    ListKeyrings on Deployment: "Lists the keyrings.";
    DescribeKeyring on Keyring: "Tells about one keyring.";
    CreateKey on Keyring: "Makes a key and its first version.";
    ListKeys on Keyring: "Lists the keys of a keyring that the caller may describe.";
    DescribeKey on Key: "Tells about one key: spec, state, versions, aliases, tags.";
    SetAlias on Key: "Gives a key a name within its keyring, or moves the name to it.";
    RemoveAlias on Key: "Takes a name from a key.";
    TagKey on Key: "Replaces a key's tags.";
    RotateKey on Key: "Makes a new version, which new encryptions use; older versions still decrypt.";
    EnableKey on Key: "Lets a disabled key be used again.";
    DisableKey on Key: "Stops every use of a key, everywhere, before it answers.";
    ScheduleKeyDestruction on Key: "Stops every use and sets the day on which the key is destroyed.";
    CancelKeyDestruction on Key: "Takes a key back from scheduled destruction; it is then disabled.";
    DestroyKey on Key: "Destroys a key's material for good, in backups too.";
    Encrypt on Key: "Encrypts a small message in the server.";
    Decrypt on Key: "Decrypts what Encrypt or GenerateDataKey made.";
    ReEncryptFrom on Key: "Allows a ciphertext of this key to be encrypted anew, without showing the plaintext.";
    ReEncryptTo on Key: "Allows encrypting anew under this key, without showing the plaintext.";
    GenerateDataKey on Key: "Makes a data key and returns it in plaintext and encrypted, for a backend.";
    DeliverDataKey on Key: "Makes a data key and returns it sealed to one enrolled device.";
    UnsealDataKey on Key: "Opens an encrypted data key and returns it sealed to one enrolled device.";
    MintTicket on Key: "Makes a short-lived ticket that lets one user's device use a key.";
    MintEnrolmentToken on Deployment: "Makes a one-time token with which one user's device enrols.";
    EnrolDevice on Deployment: "Registers a device's public keys.";
    ListDevices on Deployment: "Lists enrolled devices.";
    RevokeDevice on Deployment: "Ends a device's enrolment for good.";
    CreatePrincipal on Deployment: "Makes a principal (a user or a service) that policies can name.";
    ListPrincipals on Deployment: "Lists the principals.";
    DisablePrincipal on Deployment: "Refuses a principal everything until it is enabled again.";
    EnablePrincipal on Deployment: "Lets a disabled principal act again.";
    IssueToken on Deployment: "Makes an API token for a principal and shows it once.";
    RevokeToken on Deployment: "Ends an API token for good.";
    BindIdentity on Deployment: "Lets a principal prove itself by a token of an identity provider, or by a certificate.";
    UnbindIdentity on Deployment: "Ends an identity's meaning: it is no principal's any more.";
    ListIdentities on Deployment: "Lists which identities are which principals.";
    PutPolicy on Deployment: "Adds or replaces a named policy.";
    RemovePolicy on Deployment: "Removes a named policy.";
    ListPolicies on Deployment: "Shows the policies and the schema they are checked against.";
    ReadAudit on Deployment: "Reads the audit log.";
    WatchLeases on Deployment: "Follows the ends of leases that a device holds, as they happen.";
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_parse() {
        let mut names: Vec<_> = Operation::ALL.iter().map(|operation| operation.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Operation::ALL.len());
        for operation in Operation::ALL {
            assert_eq!(operation.name().parse(), Ok(*operation));
        }
        assert_eq!("encrypt".parse::<Operation>(), Err(UnknownOperation));
    }

    #[test]
    fn every_operation_acts_on_exactly_this() {
        let on = |target| {
            let all = Operation::ALL.iter().filter(move |operation| operation.target() == target);
            all.map(|operation| operation.name()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(on(Target::Keyring), "DescribeKeyring CreateKey ListKeys");
        assert_eq!(
            on(Target::Key),
            "DescribeKey SetAlias RemoveAlias TagKey RotateKey EnableKey DisableKey \
             ScheduleKeyDestruction CancelKeyDestruction DestroyKey Encrypt Decrypt ReEncryptFrom \
             ReEncryptTo GenerateDataKey DeliverDataKey UnsealDataKey MintTicket"
        );
        assert_eq!(
            on(Target::Deployment),
            "Initialise CreateKeyring ListKeyrings MintEnrolmentToken EnrolDevice ListDevices \
             RevokeDevice CreatePrincipal ListPrincipals DisablePrincipal EnablePrincipal \
             IssueToken RevokeToken BindIdentity UnbindIdentity ListIdentities PutPolicy \
             RemovePolicy ListPolicies ReadAudit WatchLeases"
        );
    }

    #[test]
    fn names_are_read_to_the_letter() {
        for name in Operation::ALL.iter().map(|operation| operation.name()) {
            let others = [
                name.to_lowercase(),
                name.to_uppercase(),
                format!(" {name}"),
                format!("{name} "),
                format!("{name}s"),
                name.chars().skip(1).collect(),
            ];
            for other in others {
                assert_eq!(other.parse::<Operation>(), Err(UnknownOperation), "{other}");
            }
        }
    }

    #[test]
    fn summaries_are_one_sentence_each() {
        for operation in Operation::ALL {
            let summary = operation.summary();
            assert!(summary.starts_with(|first: char| first.is_ascii_uppercase()), "{summary}");
            assert!(summary.ends_with('.') && !summary.contains('\n'), "{summary}");
            assert_eq!(operation.to_string(), operation.name());
        }
    }
}
