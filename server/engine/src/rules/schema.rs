//! The Cedar schema, generated from the operation vocabulary, so that a policy can name no operation
//! that does not exist and each only on what it acts on.

use keyhaven_shared::operation::{Operation, Target};

/// The schema in Cedar's own syntax.
pub(crate) fn text() -> String {
    let actions = [Target::Deployment, Target::Keyring, Target::Key].map(actions_on).concat();
    format!("{ENTITIES}{actions}}}\n")
}

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
