use super::*;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Of a spec that containerd has read.
fn on_disk(name: &str, hooked: Hooked) -> OnDisk {
    let spec = is_hooked(&hooked).then(|| PathBuf::from("/base.json"));
    OnDisk { name: name.to_owned(), hooked, spec, stamp: changed(9), differs: false }
}

fn changed(seconds: u64) -> Option<Stamp> {
    Some(Stamp { files: vec![(1, at(seconds))] })
}

fn since(seconds: u64) -> Option<Run> {
    Some(Run { inode: 1, started: at(seconds) })
}

fn known(hooked: &[(&str, bool)]) -> Known {
    let of = |hooked: bool| if hooked { Hooked::Yes(CreateHook::new("/hook")) } else { Hooked::NoSpec };
    Known {
        version: Some("v2.1.9+ds1".to_owned()),
        default: "runc".to_owned(),
        all: hooked.iter().map(|(name, hooked)| on_disk(name, of(*hooked))).collect(),
        sandbox_image: None,
        programs: Vec::new(),
        run: since(10),
    }
}

#[test]
fn a_handler_beside_hooked_ones_must_carry_the_hook_or_be_listed() {
    let listed = BTreeSet::from(["kata".to_owned()]);
    let rows = [
        (&[("runc", true), ("kata", false), ("gvisor", false)][..], "", true),
        (&[("runc", true), ("kata", false), ("gvisor", false)], "kata", true),
        (&[("runc", true), ("kata", false), ("gvisor", false)], "gvisor", false),
        (&[("runc", true)], "unheard-of", false),
        (&[("runc", false), ("gvisor", false)], "", true),
        (&[("runc", false), ("gvisor", true)], "", false),
    ];
    for (all, handler, admitted) in rows {
        let known = known(all);
        assert_eq!(known.is_admitted(handler, &listed), admitted, "{handler} {all:?}");
        let alarmed =
            known.problems(&listed, &BTreeMap::new()).iter().any(|problem| problem.contains("gvisor"));
        assert_eq!(alarmed, !known.is_admitted("gvisor", &listed) && known.of("gvisor").is_some());
    }
}

#[test]
fn what_is_claimed_is_what_containerd_has_loaded() {
    let (enforcing, observing) =
        (CreateHook::new("/hook"), CreateHook { observe: true, ..CreateHook::new("/hook") });
    let unsure = || Some("`/base.json` was changed since containerd started");
    let observes = || Some("a create hook observes");
    // On disk and since when, containerd since 10; asked about a container made then, by a hook that observes.
    let rows = [
        (&enforcing, 9, None, None),
        (&enforcing, 10, None, None),
        (&enforcing, 9, Some((11, false)), None),
        (&observing, 9, None, observes()),
        // Written since: nobody knows what was there before, until it asks.
        (&enforcing, 11, None, unsure()),
        (&observing, 11, None, unsure()),
        (&enforcing, 11, Some((12, true)), observes()),
        (&observing, 11, Some((12, false)), None),
        // Made by a containerd before, which says nothing.
        (&enforcing, 11, Some((8, false)), unsure()),
        (&enforcing, 9, Some((8, false)), None),
        // But for less.
        (&enforcing, 9, Some((8, true)), observes()),
        (&enforcing, 11, Some((8, true)), observes()),
        // Older by its time alone: the hook's own word counts, where it claims less.
        (&enforcing, 9, Some((11, true)), observes()),
        (&observing, 9, Some((11, false)), observes()),
    ];
    for (hook, at_second, asked, wanted) in rows {
        let what = format!("{hook:?} {at_second} {asked:?}");
        let handlers = Handlers::new(PathBuf::new(), BTreeSet::new());
        assert!(handlers.hindrance().unwrap().contains("no create hook"), "nothing is known yet");
        let one = OnDisk { stamp: changed(at_second), ..on_disk("runc", Hooked::Yes(hook.clone())) };
        *lock(&handlers.last) = Some(Arc::new(Known { all: vec![one], ..known(&[]) }));
        if let Some((made, observes)) = asked {
            handlers.heard("", observes, Some(at(made)));
            handlers.heard("unheard-of", true, Some(at(made)));
        }
        let hindrance = handlers.hindrance();
        assert_eq!(hindrance.is_some(), wanted.is_some(), "{what}: {hindrance:?}");
        assert!(hindrance.is_none_or(|hindrance| hindrance.contains(wanted.unwrap())), "{what}");
        assert_eq!(handlers.observe(), wanted == observes(), "{what}");
        assert_eq!(handlers.hold(), wanted != unsure(), "{what}");
        assert_eq!(handlers.list(), [("runc".to_owned(), wanted != unsure())], "{what}");
        let alarmed =
            handlers.problems().iter().any(|problem| problem.contains("systemctl restart containerd"));
        // What the loaded hook says is what lies there, too.
        let vouched = asked.is_some_and(|(made, observes)| made > 10 && observes == hook.observe);
        assert_eq!(alarmed, at_second > 10 && !vouched, "{what}");
    }
}

#[test]
fn a_restart_makes_void_what_was_asked_before() {
    let handlers = Handlers::new(PathBuf::new(), BTreeSet::new());
    let on_disk = || OnDisk { stamp: changed(11), ..on_disk("runc", Hooked::Yes(CreateHook::new("/hook"))) };
    let runs = |run| {
        let known = Known { all: vec![on_disk()], run, ..known(&[]) };
        *lock(&handlers.last) = Some(Arc::new(known));
    };
    runs(since(10));
    handlers.heard("runc", true, Some(at(11)));
    assert!(handlers.observe());
    runs(since(12));
    assert!(!handlers.observe() && handlers.hindrance().is_none());
    // Where nobody knows since when it runs, nothing is claimed.
    runs(None);
    handlers.heard("runc", false, Some(at(13)));
    assert!(handlers.hindrance().is_some() && !handlers.hold());
    // What is admitted is what lies there: a wiring under way refuses nobody.
    assert!(handlers.known().unwrap().is_admitted("runc", &BTreeSet::new()));
}

#[test]
fn a_clock_that_is_set_makes_nothing_claimed_that_is_not() {
    let handlers = Handlers::new(PathBuf::new(), BTreeSet::new());
    let looks = |run, stamp: Option<Stamp>| {
        let one = OnDisk { stamp, ..on_disk("runc", Hooked::Yes(CreateHook::new("/hook"))) };
        let found = handlers.compared(Known { all: vec![one], run, ..known(&[]) });
        *lock(&handlers.last) = Some(Arc::new(found));
    };
    let alarmed = || handlers.problems().iter().any(|problem| problem.contains("restart containerd"));
    // It was set back, and containerd started before.
    let later = SystemTime::now() + Duration::from_secs(3_600);
    looks(Some(Run { inode: 2, started: later }), changed(9));
    assert!(handlers.hindrance().unwrap().contains("later than now") && alarmed());
    handlers.heard("runc", false, Some(later));
    assert!(!handlers.hold());
    handlers.heard("runc", true, Some(at(9)));
    assert!(handlers.observe() && alarmed());
    // Another file, or another time of it, in the same run; old by the time alone.
    for other in [Stamp { files: vec![(2, at(9))] }, Stamp { files: vec![(1, at(8))] }] {
        looks(since(10), changed(9));
        assert!(handlers.hindrance().is_none() && !alarmed());
        looks(since(10), Some(other));
        assert!(handlers.hindrance().unwrap().contains("was changed") && alarmed());
        handlers.heard("runc", false, Some(at(11)));
        assert!(handlers.hindrance().is_none() && alarmed(), "the one that lies there is not loaded");
        looks(since(10), None);
        assert!(alarmed());
        // Of the same time, by a clock that stands.
        looks(Some(Run { inode: 2, started: at(10) }), changed(9));
        assert!(handlers.hindrance().is_none() && !alarmed());
        lock(&handlers.asked).clear();
    }
    // It was behind when containerd started, and is right now.
    looks(since(12), changed(1_000));
    assert!(!handlers.hold() && alarmed());
    handlers.heard("runc", false, Some(at(2_000)));
    assert!(handlers.hold() && !alarmed());
}

#[test]
fn a_pause_image_by_its_tag_is_an_alarm() {
    let with = |image: &str| {
        Known { sandbox_image: Some(image.to_owned()), ..known(&[]) }
            .problems(&BTreeSet::new(), &BTreeMap::new())
    };
    assert!(with("r.io/pause:3.10").iter().any(|problem| problem.contains("pin its digest")));
    assert!(with("r.io/pause@sha256:ab").is_empty());
}

#[test]
fn a_hook_that_does_not_hold_what_it_should_is_an_alarm() {
    let told = |hooked: Hooked, allowed: &[&str]| {
        let known = Known { all: vec![on_disk("runc", hooked)], ..known(&[]) };
        known.problems(&allowed.iter().map(|name| (*name).to_owned()).collect(), &BTreeMap::new()).join("\n")
    };
    let made_for = |version: &str| {
        Hooked::Yes(CreateHook { made_for: Some(version.to_owned()), ..CreateHook::new("/hook") })
    };
    let unusable = || Hooked::Unusable("others than root may write it".to_owned());
    let rows = [
        (made_for("2.1.9"), &[][..], ""),
        (made_for("v2.1.9~rc"), &[], ""),
        (made_for("2.1.8"), &[], "has the defaults of containerd 2.1.8, and this is v2.1.9+ds1"),
        (
            Hooked::Yes(CreateHook { found_timeout: Some(5), ..CreateHook::new("/hook") }),
            &[],
            "the runtime ends the hook `/hook` after 5 s",
        ),
        (unusable(), &[], "(others than root may write it): nothing holds its pods but NRI"),
        (unusable(), &["runc"], ""),
        (Hooked::NoSpec, &[], ""),
    ];
    for (hooked, allowed, part) in rows {
        let what = format!("{hooked:?} {allowed:?}");
        let problems = told(hooked, allowed);
        assert!(problems.contains(part) && problems.is_empty() == part.is_empty(), "{what}: {problems}");
    }
}
