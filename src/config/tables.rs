//! `config.toml` as it is written, and its reading into a [`Config`].

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::file::Config;
use super::policy_table::{PolicyKey, PolicyTable};
use super::sections::{
    AuditConfig, BreakGlassConfig, CHECKED_SNAPSHOTTERS, ContainerdConfig, HostAccessConfig, KubeletConfig,
    Listen, Login, OnAuditFailure, OnViolation, PodSource, RunningConfig,
};
use super::sources::{self, SourceTable};
use super::told::{EventsTable, MetricsTable};
use super::values::{Wrong, brief, checked_url, is_name, names_of, period};
use crate::decision::host_access::Mode;
use crate::image::Digest;
use crate::image::workload::is_trust_domain;
use crate::policy::break_glass::POD_LABEL;
use crate::policy::freshness::read_span;
use crate::policy::maps::is_cluster;
use crate::policy::sealed::MAX_KEYS;
use crate::policy::{Freshness, OnStale, Subjects};

const CONFIG_VERSION: u32 = 1;
/// Each is one more check of a signature that does not hold over its payload.
const MAX_DSSE_TYPES: usize = 8;
const MAX_DIGESTS: usize = 10_000;
/// A few records.
const MIN_ROTATE_BYTES: u64 = 65_536;
/// Of `break_glass.max_duration`.
const GRANT_SPANS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(31 * 86_400);

#[derive(Deserialize)]
pub(super) struct ConfigFile {
    config_version: Option<u32>,
    cluster: Option<String>,
    trust_domain: Option<String>,
    policy: Option<PolicyKey>,
    platform_policy: Option<PathBuf>,
    deny_list: Option<PathBuf>,
    system_policy: Option<PathBuf>,
    allow_multiple_rule_maps: Option<bool>,
    deny_tags: Option<bool>,
    max_staleness: Option<String>,
    on_stale: Option<OnStaleName>,
    subjects: Option<Vec<SubjectKind>>,
    dsse_types: Option<Vec<String>>,
    attestors: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    runtime_dir: Option<PathBuf>,
    #[serde(default)]
    containerd: ContainerdTable,
    #[serde(default)]
    running: RunningTable,
    #[serde(default)]
    host_access: HostAccessTable,
    #[serde(default)]
    break_glass: BreakGlassTable,
    kubelet: Option<KubeletTable>,
    #[serde(default)]
    events: EventsTable,
    sources: Option<Vec<SourceTable>>,
    #[serde(default)]
    audit: AuditTable,
    #[serde(default)]
    metrics: MetricsTable,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum SubjectKind {
    Index,
    Manifest,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnStaleName {
    Deny,
    Allow,
}

#[derive(Deserialize, Default)]
struct ContainerdTable {
    address: Option<PathBuf>,
    namespace: Option<String>,
    nri_socket: Option<PathBuf>,
    snapshotters: Option<Vec<String>>,
    allow_handlers: Option<Vec<String>>,
    root: Option<PathBuf>,
    state: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
struct RunningTable {
    on_violation: Option<OnViolationName>,
    period: Option<String>,
    stop_static_pods: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnViolationName {
    Log,
    Stop,
}

#[derive(Deserialize, Default)]
struct HostAccessTable {
    paths: Option<ModeName>,
    programs: Option<ModeName>,
    privileged: Option<ModeName>,
    host_pid: Option<ModeName>,
    allow_digests: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
struct BreakGlassTable {
    pod_label: Option<bool>,
    keys: Option<Vec<PathBuf>>,
    grants: Option<PathBuf>,
    max_duration: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ModeName {
    Refuse,
    Report,
    Allow,
}

#[derive(Deserialize)]
struct KubeletTable {
    node_name: Option<String>,
    url: Option<String>,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    kubeconfig: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
struct AuditTable {
    file: Option<PathBuf>,
    rotate_bytes: Option<u64>,
    keep_bytes: Option<u64>,
    on_failure: Option<OnAuditFailureName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnAuditFailureName {
    Journal,
    Refuse,
}

impl ConfigFile {
    /// What the file says, and the default where it says nothing. Whether paths are absolute is not
    /// looked at.
    pub(super) fn read(self) -> Result<Config, Wrong> {
        let (mut warnings, mut notes) = (Vec::new(), Vec::new());
        match self.config_version {
            Some(CONFIG_VERSION) => {}
            None => warnings.push("`config_version` is missing: taken as 1".into()),
            Some(other) => {
                let cause = format!("{other} is not known, only {CONFIG_VERSION} is");
                return Err(Wrong::new("config_version", cause));
            }
        }
        let defaults = Config::default();
        let sources = match self.sources {
            None => defaults.sources,
            Some(tables) => sources::read(tables, &mut warnings)?,
        };
        if let Some(cluster) = self.cluster.as_deref().filter(|cluster| !is_cluster(cluster)) {
            return Err(Wrong::new("cluster", format!("`{cluster}` is not of the form LOCATION.NAME")));
        }
        if let Some(domain) = self.trust_domain.as_deref().filter(|domain| !is_trust_domain(domain)) {
            let rule = "up to 255 lower-case letters, digits, `.`, `-` and `_`, such as `cluster.local`";
            let cause = format!("`{}` is not a trust domain: {rule}", brief(domain));
            return Err(Wrong::new("trust_domain", cause));
        }
        let kubelet = self.kubelet.map(KubeletTable::read).transpose()?;
        let runtime_dir = self.runtime_dir.unwrap_or(defaults.runtime_dir);
        let policy = self.policy.map_or_else(PolicyTable::default, PolicyKey::into_table);
        Ok(Config {
            cluster: self.cluster,
            trust_domain: self.trust_domain,
            platform_policy: self.platform_policy,
            deny_list: self.deny_list.unwrap_or(defaults.deny_list),
            system_policy: self.system_policy.unwrap_or(defaults.system_policy),
            allow_multiple_rule_maps: self.allow_multiple_rule_maps.unwrap_or_default(),
            deny_tags: self.deny_tags.unwrap_or_default(),
            freshness: freshness(self.max_staleness, self.on_stale)?,
            subjects: subjects(self.subjects)?,
            dsse_types: dsse_types(self.dsse_types, defaults.dsse_types)?,
            policy: policy.path.clone().unwrap_or(defaults.policy),
            bundle: policy.read()?,
            attestors: self.attestors.unwrap_or(defaults.attestors),
            state_dir: self.state_dir.unwrap_or(defaults.state_dir),
            metrics: self.metrics.read()?.unwrap_or_else(|| Listen::Unix(runtime_dir.join("metrics.sock"))),
            runtime_dir,
            containerd: self.containerd.read(&mut notes)?,
            running: self.running.read()?,
            host_access: self.host_access.read()?,
            break_glass: self.break_glass.read(&mut notes)?,
            events: self.events.read(kubelet.as_ref())?,
            kubelet,
            sources,
            audit_file: self.audit.file.clone().unwrap_or(defaults.audit_file),
            audit: self.audit.read()?,
            warnings,
            origin: None,
            notes,
        })
    }
}

fn freshness(max_staleness: Option<String>, on_stale: Option<OnStaleName>) -> Result<Freshness, Wrong> {
    let span = |text: String| {
        let cause = format!("`{}` is not a span of time such as `24h`", brief(&text));
        read_span(&text).ok_or_else(|| Wrong::new("max_staleness", cause))
    };
    Ok(Freshness {
        max_staleness: max_staleness.map(span).transpose()?,
        on_stale: Some(match on_stale {
            None | Some(OnStaleName::Deny) => OnStale::Deny,
            Some(OnStaleName::Allow) => OnStale::Allow,
        }),
    })
}

fn subjects(kinds: Option<Vec<SubjectKind>>) -> Result<Subjects, Wrong> {
    let Some(kinds) = kinds else { return Ok(Subjects::default()) };
    if kinds.is_empty() {
        return Err(Wrong::new(
            "subjects",
            "is empty: nothing could be attested, name `index` or `manifest`",
        ));
    }
    Ok(Subjects {
        index: kinds.contains(&SubjectKind::Index),
        manifest: kinds.contains(&SubjectKind::Manifest),
    })
}

fn dsse_types(types: Option<Vec<String>>, default: Vec<String>) -> Result<Vec<String>, Wrong> {
    let types = types.unwrap_or(default);
    if types.len() > MAX_DSSE_TYPES || types.iter().any(|one| one.is_empty() || one.len() > 256) {
        let cause =
            format!("at most {MAX_DSSE_TYPES} media types of up to 256 bytes are taken, none of them empty");
        return Err(Wrong::new("dsse_types", cause));
    }
    Ok(types)
}

impl ContainerdTable {
    fn read(self, notes: &mut Vec<String>) -> Result<ContainerdConfig, Wrong> {
        let defaults = ContainerdConfig::default();
        let namespace = self.namespace.unwrap_or(defaults.namespace);
        if !is_name(&namespace) {
            let cause = format!("`{}` is not the name of a namespace of containerd", brief(&namespace));
            return Err(Wrong::new("containerd.namespace", cause));
        }
        let snapshotters = match self.snapshotters {
            None => defaults.snapshotters,
            Some(names) => names_of("containerd.snapshotters", names)?,
        };
        if snapshotters.is_empty() {
            let cause = "is empty: no container could be created, name those that containerd uses";
            return Err(Wrong::new("containerd.snapshotters", cause));
        }
        let unchecked = |name: &&String| !CHECKED_SNAPSHOTTERS.contains(&name.as_str());
        notes.extend(snapshotters.iter().filter(unchecked).map(|name| {
            format!("containerd does not check what snapshotter `{name}` mounts against an image's layers")
        }));
        Ok(ContainerdConfig {
            address: self.address.unwrap_or(defaults.address),
            namespace,
            nri_socket: self.nri_socket.unwrap_or(defaults.nri_socket),
            snapshotters,
            allow_handlers: names_of("containerd.allow_handlers", self.allow_handlers.unwrap_or_default())?,
            root: self.root.unwrap_or(defaults.root),
            state: self.state.unwrap_or(defaults.state),
        })
    }
}

impl RunningTable {
    fn read(self) -> Result<RunningConfig, Wrong> {
        let defaults = RunningConfig::default();
        Ok(RunningConfig {
            on_violation: match self.on_violation {
                None => defaults.on_violation,
                Some(OnViolationName::Log) => OnViolation::Log,
                Some(OnViolationName::Stop) => OnViolation::Stop,
            },
            period: self.period.map_or(Ok(defaults.period), |text| period("running.period", &text))?,
            stop_static_pods: self.stop_static_pods.unwrap_or_default(),
        })
    }
}

impl HostAccessTable {
    fn read(self) -> Result<HostAccessConfig, Wrong> {
        let defaults = HostAccessConfig::default();
        let mode = |name: Option<ModeName>, default| match name {
            None => default,
            Some(ModeName::Refuse) => Mode::Refuse,
            Some(ModeName::Report) => Mode::Report,
            Some(ModeName::Allow) => Mode::Allow,
        };
        let digests = self.allow_digests.unwrap_or_default();
        let key = "host_access.allow_digests";
        if digests.len() > MAX_DIGESTS {
            return Err(Wrong::new(key, format!("at most {MAX_DIGESTS} are taken")));
        }
        let digests = digests.iter().map(|text| Digest::from_str(text).map_err(|why| Wrong::new(key, why)));
        Ok(HostAccessConfig {
            paths: mode(self.paths, defaults.paths),
            programs: mode(self.programs, defaults.programs),
            privileged: mode(self.privileged, defaults.privileged),
            host_pid: mode(self.host_pid, defaults.host_pid),
            allow_digests: digests.collect::<Result<_, _>>()?,
        })
    }
}

impl AuditTable {
    fn read(self) -> Result<AuditConfig, Wrong> {
        let defaults = AuditConfig::default();
        let rotate_bytes = self.rotate_bytes.unwrap_or(defaults.rotate_bytes);
        if rotate_bytes < MIN_ROTATE_BYTES {
            let cause = format!("`{rotate_bytes}` is less than {MIN_ROTATE_BYTES}");
            return Err(Wrong::new("audit.rotate_bytes", cause));
        }
        let keep_bytes = self.keep_bytes.unwrap_or(defaults.keep_bytes.max(rotate_bytes.saturating_mul(2)));
        if keep_bytes / 2 < rotate_bytes {
            let cause =
                format!("`{keep_bytes}` is less than two files of `rotate_bytes` ({rotate_bytes}) take");
            return Err(Wrong::new("audit.keep_bytes", cause));
        }
        let on_failure = match self.on_failure {
            None => defaults.on_failure,
            Some(OnAuditFailureName::Journal) => OnAuditFailure::Journal,
            Some(OnAuditFailureName::Refuse) => OnAuditFailure::Refuse,
        };
        Ok(AuditConfig { rotate_bytes, keep_bytes, on_failure })
    }
}

impl BreakGlassTable {
    fn read(self, notes: &mut Vec<String>) -> Result<BreakGlassConfig, Wrong> {
        let defaults = BreakGlassConfig::default();
        let keys = self.keys.unwrap_or_default();
        if keys.len() > MAX_KEYS {
            return Err(Wrong::new("break_glass.keys", format!("at most {MAX_KEYS} are taken")));
        }
        if self.pod_label == Some(true) {
            notes.push(format!(
                "whoever may label a pod `{}: \"{}\"` runs any image that is not on the deny list",
                POD_LABEL.0, POD_LABEL.1
            ));
        }
        Ok(BreakGlassConfig {
            pod_label: self.pod_label.unwrap_or_default(),
            keys,
            grants: self.grants.unwrap_or(defaults.grants),
            max_duration: self.max_duration.map_or(Ok(defaults.max_duration), |text| grant_span(&text))?,
        })
    }
}

/// How long a grant may hold.
fn grant_span(text: &str) -> Result<Duration, Wrong> {
    let wrong = |cause: &str| Wrong::new("break_glass.max_duration", format!("`{}` {cause}", brief(text)));
    let span = humantime::parse_duration(text).map_err(|_| wrong("is not a duration such as `24h`"))?;
    if !GRANT_SPANS.contains(&span) {
        return Err(wrong("is not between `1m` and `31d`"));
    }
    Ok(span)
}

impl KubeletTable {
    fn read(self) -> Result<KubeletConfig, Wrong> {
        if let Some(name) = self.node_name.as_deref().filter(|name| !is_name(name)) {
            let cause = format!("`{}` is not the name of a node", brief(name));
            return Err(Wrong::new("kubelet.node_name", cause));
        }
        let login = match (self.token_file, self.client_certificate, self.client_key) {
            (None, None, None) => None,
            (Some(token), None, None) => Some(Login::Token(token)),
            (None, Some(certificate), Some(key)) => Some(Login::Certificate { certificate, key }),
            _ => {
                let cause = "name `token_file`, or `client_certificate` and `client_key`";
                return Err(Wrong::new("kubelet", cause));
            }
        };
        let source = match (self.kubeconfig, self.url, self.ca) {
            (Some(kubeconfig), None, None) if login.is_none() => PodSource::Kubeconfig(kubeconfig),
            (Some(_), ..) => {
                let cause = "says who is asked and how: name no other key but `node_name` beside it";
                return Err(Wrong::new("kubelet.kubeconfig", cause));
            }
            (None, url, Some(ca)) => {
                let url = url.map_or(Ok(KUBELET.to_owned()), |url| checked_url("kubelet.url", url))?;
                PodSource::Endpoint { url, ca, login }
            }
            (None, _, None) => {
                let cause =
                    "is missing: name the certificates that vouch for kubelet, or a `kubeconfig` instead";
                return Err(Wrong::new("kubelet.ca", cause));
            }
        };
        Ok(KubeletConfig { node_name: self.node_name, source })
    }
}

/// kubelet's own list of pods.
const KUBELET: &str = "https://127.0.0.1:10250/pods";
