//! Enums that come as numbers: JSON of protobuf allows them, and the REST clients that Google generates write them so.

use serde_json::{Map, Value};

/// `NoteKind` (`grafeas/v1/common.proto`).
const NOTE_KIND: &[(u64, &str)] = &[
    (0, "NOTE_KIND_UNSPECIFIED"),
    (1, "VULNERABILITY"),
    (2, "BUILD"),
    (3, "IMAGE"),
    (4, "PACKAGE"),
    (5, "DEPLOYMENT"),
    (6, "DISCOVERY"),
    (7, "ATTESTATION"),
    (8, "UPGRADE"),
    (9, "COMPLIANCE"),
    (10, "DSSE_ATTESTATION"),
    (11, "VULNERABILITY_ASSESSMENT"),
    (12, "SBOM_REFERENCE"),
    (13, "SECRET"),
];

/// Members of policies and attestors (`binaryauthorization/v1/resources.proto`), wherever they are in one.
const MEMBERS: &[(&str, &[(u64, &str)])] = &[
    ("evaluationMode", &[(1, "ALWAYS_ALLOW"), (2, "REQUIRE_ATTESTATION"), (3, "ALWAYS_DENY")]),
    ("enforcementMode", &[(1, "ENFORCED_BLOCK_AND_AUDIT_LOG"), (2, "DRYRUN_AUDIT_LOG_ONLY")]),
    ("globalPolicyEvaluationMode", &[(1, "ENABLE"), (2, "DISABLE")]),
    (
        "signatureAlgorithm",
        &[
            (1, "RSA_PSS_2048_SHA256"),
            (2, "RSA_PSS_3072_SHA256"),
            (3, "RSA_PSS_4096_SHA256"),
            (4, "RSA_PSS_4096_SHA512"),
            (5, "RSA_SIGN_PKCS1_2048_SHA256"),
            (6, "RSA_SIGN_PKCS1_3072_SHA256"),
            (7, "RSA_SIGN_PKCS1_4096_SHA256"),
            (8, "RSA_SIGN_PKCS1_4096_SHA512"),
            (9, "ECDSA_P256_SHA256"),
            (10, "ECDSA_P384_SHA384"),
            (11, "ECDSA_P521_SHA512"),
            (13, "ML_DSA_65"),
        ],
    ),
];

/// Names the kind of a note or an occurrence.
pub(super) fn name_kind(members: &mut Map<String, Value>) {
    if let Some(kind) = members.get_mut("kind") {
        name(kind, NOTE_KIND);
    }
}

/// Names the enums of a policy or an attestor. A number that has no name stays, and is refused by whoever reads it.
pub(super) fn name_all(document: &mut Value) {
    match document {
        Value::Object(members) => {
            for (member, value) in members {
                match MEMBERS.iter().find(|(known, _)| known == member) {
                    Some((_, names)) => name(value, names),
                    None => name_all(value),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(name_all),
        _ => {}
    }
}

fn name(value: &mut Value, names: &[(u64, &str)]) {
    let number = value.as_u64();
    if let Some((_, name)) = names.iter().find(|(known, _)| Some(*known) == number) {
        *value = (*name).into();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_named() {
        let mut policy = json!({
            "globalPolicyEvaluationMode": 1,
            "clusterAdmissionRules": {"z.c": {"evaluationMode": 3, "enforcementMode": 2}},
            "keys": [{"signatureAlgorithm": 13}, {"signatureAlgorithm": 12}, {"signatureAlgorithm": "ML_DSA_65"}],
            "kind": 7,
        });
        name_all(&mut policy);
        assert_eq!(
            policy,
            json!({
                "globalPolicyEvaluationMode": "ENABLE",
                "clusterAdmissionRules": {"z.c": {"evaluationMode": "ALWAYS_DENY", "enforcementMode": "DRYRUN_AUDIT_LOG_ONLY"}},
                "keys": [{"signatureAlgorithm": "ML_DSA_65"}, {"signatureAlgorithm": 12}, {"signatureAlgorithm": "ML_DSA_65"}],
                "kind": 7,
            })
        );
        name_kind(policy.as_object_mut().unwrap());
        assert_eq!(policy["kind"], "ATTESTATION");
    }
}
