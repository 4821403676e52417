//! The pod that an image is to run in, as far as a gate knows it.

/// What is known of a pod. `None` is "not known", which is not the same as "has none": rules that could
/// apply to an unknown pod are weighed, not skipped.
///
/// Nothing here is checked: a text that is no name of Kubernetes agrees with no rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    /// `LOCATION.CLUSTER`, as the node is configured.
    pub cluster: Option<String>,
    /// The pod's namespace.
    pub namespace: Option<String>,
    /// The pod's service account, without its namespace.
    pub service_account: Option<String>,
    /// `spiffe://DOMAIN/ns/NAMESPACE/sa/SERVICEACCOUNT`, with or without `spiffe://`.
    pub mesh_identity: Option<String>,
    /// Whether its label asks for break-glass. A pod of which that is not known does not ask.
    pub break_glass: bool,
}

/// The identity that a service mesh gives a pod: `spiffe://DOMAIN/ns/NAMESPACE/sa/SERVICEACCOUNT`.
///
/// `None` where a part is none that such an identity has, so that no text that means something else comes
/// of it: a trust domain as in SPIFFE-ID section 2.1, a namespace and a service account as in Kubernetes
/// (RFC 1123 label and subdomain). A pod without a service account has no such identity.
#[must_use]
pub fn mesh_identity(trust_domain: &str, namespace: &str, service_account: &str) -> Option<String> {
    let valid = is_trust_domain(trust_domain) && is_label(namespace) && is_subdomain(service_account);
    valid.then(|| format!("spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"))
}

/// An RFC 1123 label, of at most 63 bytes: what a namespace or a container is called.
#[must_use]
pub fn is_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| inner(b) || b == b'-')
        && name.bytes().next().is_some_and(inner)
        && name.bytes().next_back().is_some_and(inner)
}

/// An RFC 1123 subdomain of at most 253 bytes: what a pod, node or service account is called.
#[must_use]
pub fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// SPIFFE-ID section 2.1: at most 255 bytes.
#[must_use]
pub fn is_trust_domain(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    (1..=255).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mesh_identities() {
        let long = "a".repeat(64);
        let rows = [
            ("cluster.local", "shop", "web", Some("spiffe://cluster.local/ns/shop/sa/web")),
            ("p.svc.id.goog", "shop", "web.v2", Some("spiffe://p.svc.id.goog/ns/shop/sa/web.v2")),
            ("cluster.local", "shop", "", None),
            ("cluster.local", "", "web", None),
            ("", "shop", "web", None),
            ("Cluster.local", "shop", "web", None),
            ("a/ns/kube-system/sa/admin", "shop", "web", None),
            ("cluster.local", "shop/sa/admin", "web", None),
            ("cluster.local", "shop", "web/x", None),
            ("cluster.local", "shop", "web\n", None),
            ("cluster.local", &long, "web", None),
        ];
        for (domain, namespace, account, expected) in rows {
            assert_eq!(
                mesh_identity(domain, namespace, account).as_deref(),
                expected,
                "{domain} {namespace} {account}"
            );
        }
    }
}
