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
}
