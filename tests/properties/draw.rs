//! How worlds are drawn: so that allowances and refusals, and close misses of either, are all common.

use binauthd::image::Workload;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::filed::{Filed, Says, Spoilt};
use super::world::{ATTESTORS, Bounds, Check, DAY, KEYED, KEYS, Party, Rule, Set, World};

/// Under the key ids of an attestor, all but the last key.
fn keys() -> impl Strategy<Value = Vec<usize>> {
    subsequence((0..KEYS - 1).collect::<Vec<_>>(), 1..KEYS)
}

fn parties() -> impl Strategy<Value = Vec<Party>> {
    let party = |number| {
        (keys(), prop::bool::weighted(0.2)).prop_map(move |(keys, compares_reference)| Party {
            number,
            keys,
            compares_reference,
        })
    };
    let all: Vec<_> = (0..ATTESTORS).map(party).collect();
    (all, 0..12usize).prop_map(|(mut all, missing)| {
        // Sometimes no document defines one.
        if missing < all.len() {
            all.remove(missing);
        }
        all
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        1 => Just(Rule::Allow),
        1 => Just(Rule::Deny),
        6 => subsequence((0..ATTESTORS).collect::<Vec<_>>(), 1..=2).prop_map(Rule::Require),
    ]
}

fn dry_run() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.2)
}

/// What a scan may be: around its greatest age, in the future, and several at one time.
pub(crate) fn scan() -> impl Strategy<Value = Says> {
    let ages =
        [DAY as i64, DAY as i64, 2 * DAY as i64, 3 * DAY as i64, 3 * DAY as i64 + 1, 9 * DAY as i64, -3_600];
    let found = prop_oneof![3 => Just(None), 1 => Just(Some("low")), 2 => Just(Some("critical"))];
    (select(ages.to_vec()), found).prop_map(|(age, found)| Says::Scan { age, found })
}

fn says() -> impl Strategy<Value = Says> {
    let ages = select(&[DAY, 3 * DAY, 9 * DAY][..]);
    prop_oneof![
        3 => Just(Says::Raw),
        2 => Just(Says::Pae),
        2 => Just(Says::Envelope),
        2 => Just(Says::Token),
        2 => (ages, prop::bool::weighted(0.8)).prop_map(|(age, trusted)| Says::Provenance { age, trusted }),
        3 => scan(),
        1 => Just(Says::BrokenScan),
        1 => Just(Says::Failed),
    ]
}

fn spoilt() -> impl Strategy<Value = Spoilt> {
    select(
        &[Spoilt::Signature, Spoilt::Shape, Spoilt::KeyId, Spoilt::Type, Spoilt::Document, Spoilt::Nothing][..],
    )
}

/// Anything that may be filed.
pub(crate) fn filed() -> impl Strategy<Value = Filed> {
    let place = (0..ATTESTORS, select(&["p", "p", "q"][..]), 0..5u64);
    let digests = prop_oneof![
        8 => select(&[(0, 0), (0, 0), (1, 1)][..]),
        1 => (0..3usize, 0..3usize),
    ];
    let spoilt = prop_oneof![5 => Just(Spoilt::Nothing), 1 => spoilt()];
    (place, 0..KEYS - 1, digests, says(), prop::bool::weighted(0.1), spoilt).prop_map(
        |((note, project, created), key, (under, about), says, elsewhere, spoilt)| Filed {
            note,
            project,
            key,
            under,
            about,
            says,
            created,
            elsewhere,
            spoilt,
        },
    )
}

/// What attests nothing of the image in a world where `filed` is filed: a stranger's, or a copy of one of
/// those that are, spoilt in some way. Only `copies` may be the same bytes once more, in another project.
pub(crate) fn bad(filed: Vec<Filed>, copies: bool) -> impl Strategy<Value = Filed> {
    let template = if filed.is_empty() { self::filed().boxed() } else { select(filed).boxed() };
    let harm = 0..9usize;
    (template, harm, 0..10u64, select(&["p", "q"][..])).prop_map(move |(mut one, harm, created, project)| {
        one.created = created;
        one.project = project;
        match harm {
            0 => one.spoilt = Spoilt::Signature,
            1 => one.spoilt = Spoilt::Shape,
            // An envelope may leave its key to be found, so an unknown key id is a hint alone.
            2 if !is_envelope(&one.says) => one.spoilt = Spoilt::KeyId,
            3 if is_envelope(&one.says) => one.spoilt = Spoilt::Type,
            4 => one.key = KEYS - 1,
            5 => (one.under, one.about) = (0, 2),
            6 => (one.under, one.about) = (2, 0),
            7 if copies => one.project = "q",
            _ => one.spoilt = Spoilt::Document,
        }
        one
    })
}

pub(crate) fn is_envelope(says: &Says) -> bool {
    !matches!(says, Says::Raw | Says::Pae | Says::Token)
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let signers = subsequence((0..ATTESTORS).collect::<Vec<_>>(), 1..=2);
    (signers, any::<bool>(), prop::bool::weighted(0.3)).prop_map(|(signers, ages, one_project)| Bounds {
        signers,
        ages,
        one_project,
    })
}

fn check() -> impl Strategy<Value = Check> {
    prop_oneof![
        1 => Just(Check::AlwaysDeny),
        3 => prop::bool::weighted(0.8).prop_map(|trusted| Check::Directory { trusted }),
        3 => keys().prop_map(|keys| Check::SimpleSigning { keys }),
        3 => (0..ATTESTORS).prop_map(|signer| Check::Freshness { signer }),
        3 => (0..ATTESTORS).prop_map(|signer| Check::Slsa { signer }),
        6 => bounds().prop_map(Check::Vulnerability),
    ]
}

fn set(scope: Option<(&'static str, &'static str)>) -> impl Strategy<Value = Set> {
    (prop::bool::weighted(0.1), vec(check(), 0..3)).prop_map(move |(exempts, checks)| Set {
        scope,
        exempts,
        checks,
    })
}

fn platform() -> impl Strategy<Value = (&'static str, Vec<Set>)> {
    let modes = ["AUDIT", "AUDIT_AND_DRYRUN", "AUDIT_AND_ENFORCE", "AUDIT_AND_ENFORCE", "AUDIT_AND_ENFORCE"];
    let web = option::weighted(0.2, set(Some(("kubernetesServiceAccount", "shop:web"))));
    let shop = option::weighted(0.3, set(Some(("kubernetesNamespace", "shop"))));
    (select(modes.to_vec()), web, shop, set(None)).prop_map(|(mode, web, shop, rest)| {
        let sets = [web, shop, Some(rest)].into_iter().flatten().collect();
        (mode, sets)
    })
}

/// A pod of which everything is known.
fn pod() -> impl Strategy<Value = Workload> {
    (select(&["eu.prod", "eu.test"][..]), select(&["shop", "ops", "lab"][..]), select(&["web", "job"][..]))
        .prop_map(|(cluster, namespace, account)| Workload {
            cluster: Some(cluster.into()),
            namespace: Some(namespace.into()),
            service_account: Some(account.into()),
            mesh_identity: Some(format!("spiffe://mesh/ns/{namespace}/sa/{account}")),
            break_glass: false,
        })
}

/// What is left of a pod where only this is known of it.
pub(crate) fn partly(pod: &Workload, known: [bool; 4]) -> Workload {
    let keep = |text: &Option<String>, known: bool| text.clone().filter(|_| known);
    Workload {
        cluster: keep(&pod.cluster, known[0]),
        namespace: keep(&pod.namespace, known[1]),
        service_account: keep(&pod.service_account, known[2]),
        mesh_identity: keep(&pod.mesh_identity, known[3]),
        break_glass: pod.break_glass,
    }
}

/// A world of whose pod everything is known.
pub(crate) fn world() -> impl Strategy<Value = World> {
    let keyed = vec((select(KEYED), rule(), dry_run()), 0..4).prop_map(|rules| {
        let mut known: Vec<(&'static str, &'static str, Rule, bool)> = Vec::new();
        for ((map, key), rule, dry_run) in rules {
            if !known.iter().any(|(_, other, ..)| *other == key) {
                known.push((map, key, rule, dry_run));
            }
        }
        known
    });
    let exempting = || select(&["registry.example.com/team/*", "registry.example.com/**"][..]);
    let patterns = (
        vec(prop_oneof![6 => Just("gcr.io/x/*"), 1 => exempting()], 0..3),
        vec(prop_oneof![2 => Just("gcr.io/x/*"), 1 => exempting()], 0..3),
    );
    let lists = (
        prop::bool::weighted(0.3),
        vec(select(&[1usize, 2][..]), 0..1),
        prop_oneof![9 => Just(vec![2]), 1 => Just(vec![1])],
    );
    let rules = ((rule(), dry_run()), keyed);
    let filed = vec(filed(), 0..9);
    (rules, patterns, lists, option::weighted(0.6, platform()), parties(), filed, pod(), any::<bool>())
        .prop_map(|(rules, patterns, lists, platform, parties, filed, workload, resolved)| World {
            default_rule: rules.0,
            rules: rules.1,
            patterns: patterns.0,
            uses_system: lists.0,
            system_digests: lists.1,
            system_patterns: patterns.1,
            denied: lists.2,
            platform,
            parties,
            filed,
            workload,
            resolved,
        })
}

/// A world in which most attestors have signed what may be wanted of them, besides what is drawn.
pub(crate) fn kind_world() -> impl Strategy<Value = World> {
    let kind = vec(prop::bool::weighted(0.75), ATTESTORS);
    (world(), vec(says(), 2..6), kind).prop_map(|(mut world, extra, kind)| {
        for party in world.parties.iter().filter(|party| kind[party.number]) {
            let key = party.keys[0];
            let says = extra.iter().cloned().chain([Says::Raw]);
            world.filed.extend(says.map(|says| Filed {
                note: party.number,
                project: "p",
                key,
                under: 0,
                about: 0,
                says,
                created: 7,
                elsewhere: false,
                spoilt: Spoilt::Nothing,
            }));
        }
        world
    })
}

/// A world with a vulnerability check alone and scans alone, all of them by its signer.
pub(crate) fn scanned() -> impl Strategy<Value = (World, Bounds)> {
    let scans = vec((scan(), select(&["p", "p", "q"][..]), 0..5u64, 0..2usize), 0..6);
    (bounds(), scans, any::<[bool; 2]>()).prop_map(|(mut bounds, scans, [one_project, resolved])| {
        (bounds.signers, bounds.one_project) = (vec![0], one_project);
        let filed = scans.into_iter().map(|(says, project, created, digest)| Filed {
            note: 0,
            project,
            key: 0,
            under: digest,
            about: digest,
            says,
            created,
            elsewhere: false,
            spoilt: Spoilt::Nothing,
        });
        let checks = vec![Check::Vulnerability(bounds.clone())];
        let world = World {
            default_rule: (Rule::Allow, false),
            rules: Vec::new(),
            patterns: Vec::new(),
            uses_system: false,
            system_digests: Vec::new(),
            system_patterns: Vec::new(),
            denied: Vec::new(),
            platform: Some(("AUDIT_AND_ENFORCE", vec![Set { scope: None, exempts: false, checks }])),
            parties: vec![Party { number: 0, keys: vec![0], compares_reference: false }],
            filed: filed.collect(),
            workload: Workload::default(),
            resolved,
        };
        (world, bounds)
    })
}
