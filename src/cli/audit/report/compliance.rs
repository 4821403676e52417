//! The table of controls: what each asks, and what the trail of the span shows. A control without figures is one without
//! evidence; none is ever called met.

use serde::Serialize;

use super::Chain;
use crate::audit::report::Report as Trail;
use crate::cli::policy::Excepted;

/// A control.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Control {
    /// Such as `SOC 2 CC6.1`.
    pub(super) control: &'static str,
    /// What it asks.
    pub(super) asks: &'static str,
    /// What the trail shows, in figures.
    pub(super) shown: String,
    pub(super) evidence: Evidence,
}

/// What that is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Evidence {
    /// It is there.
    There,
    /// It is there, and shows what somebody has to explain.
    Open,
    /// There is none in this span.
    None,
}

impl Evidence {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::There => "evidence",
            Self::Open => "to be explained",
            Self::None => "no evidence in this span",
        }
    }

    const fn of(is_there: bool, is_open: bool) -> Self {
        match (is_there, is_open) {
            (false, _) => Self::None,
            (true, true) => Self::Open,
            (true, false) => Self::There,
        }
    }
}

pub(super) fn controls(trail: &Trail, chain: &Chain, exceptions: &[Excepted]) -> Vec<Control> {
    let decisions = trail.decisions;
    let decided = decisions.all() > 0;
    let attested = trail
        .reasons
        .named
        .iter()
        .find(|(reason, _)| reason == "ATTESTED")
        .map_or(0, |(_, counts)| counts.all());
    let let_through = decisions.would_block + trail.unanswered + trail.ungated;
    let owned = exceptions.iter().filter(|one| one.owner.is_some() && one.ticket.is_some()).count();
    let told =
        trail.changes.1.iter().filter(|change| change.get("who").is_some_and(|who| !who.is_null())).count();
    let integrity = if chain.intact {
        format!("the chain over {} records in {} files is intact", chain.records, chain.files)
    } else {
        format!("the chain is broken in {} places", chain.problems.len() as u64 + chain.further)
    };
    vec![
        Control {
            control: "SOC 2 CC6.1",
            asks: "Logical access: only images that were approved are deployed, and attestations prove the approval",
            shown: format!(
                "{} decisions: {} allowed, of which {attested} for their attestations; {} refused; {} let through that \
                 enforcement would refuse; {} without an answer; {} started unasked",
                decisions.all(),
                decisions.allowed,
                decisions.refused,
                decisions.would_block,
                trail.unanswered,
                trail.ungated
            ),
            evidence: Evidence::of(decided, let_through > 0),
        },
        Control {
            control: "SOC 2 CC6.6",
            asks: "Segregation: attestors and keys are apart for each environment",
            shown: format!(
                "decisions by {} rules in {} namespaces; {} attestors satisfied, by {} keys",
                trail.rules.named.len(),
                trail.namespaces.named.len(),
                trail.attestors.named.len(),
                trail.keys.named.len()
            ),
            evidence: Evidence::of(!trail.attestors.named.is_empty(), false),
        },
        Control {
            control: "SOC 2 CC7.2",
            asks: "Monitoring: every denial is recorded, and what runs is watched",
            shown: format!(
                "{integrity}; {} gaps of its own telling; {} refusals; {} records of running containers that violate what is in \
                 force; the canary refused {} times",
                trail.gaps.0, decisions.refused, trail.violations.0, trail.canaries
            ),
            evidence: Evidence::of(
                chain.records > 0,
                !chain.intact || trail.gaps.0 > 0 || trail.violations.0 > 0,
            ),
        },
        Control {
            control: "SOC 2 CC8.1",
            asks: "Change management: what decides is changed by somebody known, and exceptions are owned and end",
            shown: format!(
                "{} changes, of the newest {} of which {told} say by whom; {} decisions by break-glass under {} grants; {} \
                 exceptions, {owned} with owner and ticket, {} without an end",
                trail.changes.0,
                trail.changes.1.len(),
                trail.by_break_glass,
                trail.grants.named.len(),
                exceptions.len(),
                exceptions.iter().filter(|one| one.ends.is_none()).count()
            ),
            evidence: Evidence::of(
                trail.changes.0 > 0 || !exceptions.is_empty() || decided,
                trail.by_break_glass > 0 || owned < exceptions.len(),
            ),
        },
        Control {
            control: "SLSA Provenance",
            asks: "Attestations tell where an image is from",
            shown: format!(
                "{attested} decisions rest on attestations, by {} attestors",
                trail.attestors.named.len()
            ),
            evidence: Evidence::of(attested > 0, false),
        },
        Control {
            control: "SLSA Non-falsifiable",
            asks: "Signatures cannot be forged by whoever builds",
            shown: format!(
                "signatures of {} keys counted; which key decided is in every record",
                trail.keys.named.len()
            ),
            evidence: Evidence::of(!trail.keys.named.is_empty(), false),
        },
        Control {
            control: "SLSA Auditable",
            asks: "Every decision can be looked up afterwards",
            shown: format!("{} lines; {integrity}", trail.lines),
            evidence: Evidence::of(trail.lines > 0, !chain.intact),
        },
    ]
}
