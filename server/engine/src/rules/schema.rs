//! The Cedar schema, generated from the operation vocabulary, so that a policy can name no operation
//! that does not exist and each only on what it acts on.
//!
//! Operators see it (`ListPolicies`), and stored policies were validated against it. Adding to it
//! is safe; taking away or renaming makes stored policies invalid, and with such a server does not
//! start.

use keyhaven_shared::operation::{Operation, Target};

/// The schema in Cedar's own syntax.
pub(crate) fn text() -> String {
    let actions = [Target::Deployment, Target::Keyring, Target::Key].map(actions_on).concat();
    format!("{ENTITIES}{actions}}}\n")
}

/// One declaration for all operations on one kind of target; they have everything else in common.
fn actions_on(target: Target) -> String {
    let on_target = Operation::ALL.iter().filter(|operation| operation.target() == target);
    let names: Vec<String> = on_target.map(|operation| format!("\"{operation}\"")).collect();
    let resource = match target {
        Target::Deployment => "Deployment",
        Target::Keyring => "Keyring",
        Target::Key => "Key",
    };
    let names = names.join(", ");
    format!(
        "  action {names} appliesTo {{ principal: Principal, resource: {resource}, context: Facts }};\n"
    )
}

/// What does not depend on the vocabulary. All that policies can test is named here;
/// `rules/question.rs` fills it in. The brace of the namespace is closed behind the actions.
const ENTITIES: &str = r"namespace Keyhaven {
  // Facts of the request. `encryption` has the encryption context's pairs as tags.
  type Facts = {
    via: String,
    device: Bool,
    export: Bool,
    offline_grace_s: Long,
    encryption: EncryptionContext
  };
  entity EncryptionContext tags String;
  entity Group;
  entity Principal in [Group];
  entity Deployment;
  entity Keyring in [Deployment];
  // A key's id is its UUID, a keyring's its name.
  entity Key in [Keyring] { spec: String, distribution: String } tags String;
";
