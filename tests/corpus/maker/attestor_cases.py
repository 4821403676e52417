"""Attestors: all of them, by their own keys and notes."""

from .shapes import *

WHO = "built-by-ci"


def scanned(**more):
    """Another attestor; also `attestors/scanned.json`."""
    return attestor("scanned", [pkix("p256-b", P256, signing.key_id("p256-b"))], **more)


def by_scanner(**more):
    return occurrence(gcloud(), [signature(gcloud(), "p256-b")], note="scanned", id="scan", **more)


def topic():
    t = Topic("attestors")
    both, ours = require(WHO, "scanned"), occurrence()
    t.attested("all-attested", "5: AND over attestors", allow(attestors=says("ATTESTED") | says("ATTESTED", "scanned")), [ours, by_scanner()], both, [CI, SCANNED])
    t.attested("two-required-first-attested", "Appendix A: two attestors, one attested",
               deny("NO_ATTESTATION", attestors=says("ATTESTED") | says("NO_ATTESTATION", "scanned"), message=[attestor_name("scanned")]), [ours], both, [CI, SCANNED])
    t.attested("two-required-second-attested", "Appendix A: two attestors, one attested",
               deny("NO_ATTESTATION", attestors=says("NO_ATTESTATION") | says("ATTESTED", "scanned")), [by_scanner()], both, [CI, SCANNED])
    t.attested("two-required-none-attested", "5: AND over attestors", deny("NO_ATTESTATION"), [], both, [CI, SCANNED])
    t.attested("two-required-reason-of-the-first", "the first attestor of the rule that refuses gives the reason",
               deny("UNKNOWN_KEY", attestors=says("UNKNOWN_KEY") | says("NO_ATTESTATION", "scanned")), [occurrence(gcloud(), [signature(gcloud(), "p256-b")])], both, [CI, SCANNED], open=True)
    t.attested("same-attestor-twice", "named twice, asked once", allow(), [ours], require(WHO, WHO))
    t.attested("same-attestor-twice-among-others", "one attestor twice does not stand for two", deny("NO_ATTESTATION"), [ours], require(WHO, WHO, "scanned"), [CI, SCANNED])
    shared = attestor("scanned", [pkix("p256", P256)])
    t.attested("shared-key-other-note", "5: of this attestor's note only", deny("NO_ATTESTATION", attestors=says("ATTESTED") | says("NO_ATTESTATION", "scanned")), [ours], both, [CI, shared])
    t.attested("shared-key-both-notes", "one key attests for both, on each note", allow(), [ours, occurrence(note="scanned", id="2")], both, [CI, shared])
    t.attested("shared-note-other-key", "one note, two attestors: each by its own key", deny("UNKNOWN_KEY", attestors=says("ATTESTED") | says("UNKNOWN_KEY", "scanned")), [ours],
               both, [CI, attestor("scanned", [pkix("p256-b", P256)], note=WHO)])
    t.attested("shared-note-both-keys", "one note, two attestors: each by its own key", allow(),
               [occurrence(gcloud(), [signature(gcloud()), signature(gcloud(), "p256-b")])], both, [CI, attestor("scanned", [pkix("p256-b", P256)], note=WHO)])
    t.attested("shared-note-and-key", "one note and one key: one attestation serves both", allow(), [ours], both, [CI, attestor("scanned", [pkix("p256", P256)], note=WHO)])
    t.attested("note-of-another-name", "3.1: the note need not be called as the attestor", allow(), [occurrence(note="qa")], attestors=[attestor(WHO, [pkix("p256", P256)], note="qa")])
    t.attested("note-of-another-project", "3.1: the note may be in any project", allow(), [occurrence(note="projects/other/notes/qa")],
               attestors=[attestor(WHO, [pkix("p256", P256)], note="projects/other/notes/qa")])
    t.attested("missing", "nobody defines the attestor", deny("ATTESTOR_MISSING", attestors=says("ATTESTOR_MISSING")), [ours], attestors=[])
    t.attested("missing-of-another-project", "names are compared whole", deny("ATTESTOR_MISSING"), [ours], require("projects/acme-sec2/attestors/built-by-ci"))
    t.attested("missing-by-case", "names are compared to the letter", deny("ATTESTOR_MISSING"), [ours], require("projects/acme-sec/attestors/Built-By-CI"))
    t.attested("one-of-two-missing", "5: AND over attestors", deny("ATTESTOR_MISSING", attestors=says("ATTESTED") | says("ATTESTOR_MISSING", "scanned")), [ours], both)
    t.attested("missing-in-dry-run", "dry run lets through and says so", dry("ATTESTOR_MISSING"), [ours], require(WHO, enforcement=DRY_RUN), [])
    t.attested("ambiguous", "two documents with one name cancel each other", deny("ATTESTOR_AMBIGUOUS", attestors=says("ATTESTOR_AMBIGUOUS")), [ours],
               attestors=[CI, attestor(WHO, [pkix("p256-b", P256)])])
    t.attested("ambiguous-and-equal", "also where they say the same", deny("ATTESTOR_AMBIGUOUS"), [ours], attestors=[CI, CI], open=True)
    t.attested("ambiguous-elsewhere", "an ambiguous attestor that nobody requires", allow(), [ours], attestors=[CI, SCANNED, scanned()])
    t.attested("refused-beside-a-good-one", "a refused document does not exist: no ambiguity", allow(), [ours], attestors=[CI, attestor(WHO, [{"id": "x"}])])
    t.attested("not-required-attestor", "an attestor that no rule requires does not help", deny("NO_ATTESTATION"), [by_scanner()], attestors=[CI, SCANNED])
    t.attested("v1beta1-member", "3.1: userOwnedDrydockNote", allow(), [ours], attestors=[attestor(WHO, [pkix("p256", P256)], member="userOwnedDrydockNote")])
    legacy = "providers/acme-sec/notes/built-by-ci"
    old = attestor(WHO, [pkix("p256", P256)], member="userOwnedDrydockNote")
    old["userOwnedDrydockNote"]["noteReference"] = legacy
    t.attested("v1beta1-legacy-note", "3.1: legacy providers/*/notes/*", allow(), [ours | {"noteName": legacy}], attestors=[old])
    t.attested("v1beta1-legacy-note-is-no-other", "3.1: legacy providers/*/notes/*, compared as it is written", deny("NO_ATTESTATION"), [ours], attestors=[old])
    t.attested("whole-schema", "3.1: every field", allow(), [ours], attestors=[
        {"name": attestor_name(WHO), "description": "CI build gate", "updateTime": "2026-01-01T00:00:00Z", "etag": "x", "userOwnedGrafeasNote":
         {"noteReference": note_name(WHO), "publicKeys": [pkix("p256", P256) | {"comment": "2026 key"}],
          "delegationServiceAccountEmail": "service-1@gcp-sa-binaryauthorization.iam.gserviceaccount.com"}}])
    t.attested("snake-case", "1.3: proto3 JSON parsers accept both spellings", allow(), [ours], attestors=[
        {"name": attestor_name(WHO), "user_owned_grafeas_note": {"note_reference": note_name(WHO), "public_keys": [
            {"pkix_public_key": {"public_key_pem": signing.pem("p256"), "signature_algorithm": P256}}]}}], open=True)
    good = ci()
    note = good["userOwnedGrafeasNote"]
    for name, document in (
        ("no-name", {"userOwnedGrafeasNote": note}), ("short-name", good | {"name": WHO}), ("note-missing", {"name": good["name"]}),
        ("note-reference-missing", good | {"userOwnedGrafeasNote": {"publicKeys": note["publicKeys"]}}),
        ("note-reference-bad", good | {"userOwnedGrafeasNote": note | {"noteReference": "notes/x"}}), ("unknown-member", good | {"threshold": 2}),
        ("unknown-member-in-note", good | {"userOwnedGrafeasNote": note | {"x": 1}}), ("both-members", good | {"userOwnedDrydockNote": note}),
        ("keys-no-list", good | {"userOwnedGrafeasNote": note | {"publicKeys": {}}}),
    ):
        t.attested(f"refused-{name}", "3.1: a refused document does not exist", deny("ATTESTOR_MISSING"), [ours], attestors=[document])

    # docker-reference
    exact = [ci(binauthdRequireDockerReference=True)]
    mirror, docker = f"mirror.example.net/team/app@{D}", "DOCKER_REFERENCE_MISMATCH"
    t.attested("docker-reference-not-compared", "4.7: not compared by default", allow(), [ours], subject=mirror)
    t.attested("docker-reference-equal", "the option compares it", allow(), [ours], attestors=exact)
    t.attested("docker-reference-other", "the option compares it", deny(docker, attestors=says(docker)), [ours], attestors=exact, subject=mirror)
    t.attested("docker-reference-false", "the option says no", allow(), [ours], attestors=[ci(binauthdRequireDockerReference=False)], subject=mirror)
    t.attested("docker-reference-tag-beside", "repositories are compared, without tag", allow(), [ours], attestors=exact, subject=f"{REPOSITORY}:v1@{D}")
    t.attested("docker-reference-prefix", "repositories are compared whole", deny(docker), [ours], attestors=exact, subject=f"{REPOSITORY}2@{D}")
    t.attested("docker-reference-normalised", "nginx is docker.io/library/nginx", allow(), [occurrence(gcloud(reference="nginx"))], attestors=exact, subject=f"docker.io/library/nginx@{D}", open=True)
    t.attested("docker-reference-second-attestation", "OR over attestations: one of them is of this name", allow(),
               [occurrence(gcloud(reference="mirror.example.net/team/app"), id="2", created="2026-11-21T00:00:00Z"), ours], attestors=exact)
    t.attested("docker-reference-of-one-attestor", "the option is each attestor's own", deny(docker, attestors=says(docker) | says("ATTESTED", "scanned")),
               [ours, by_scanner()], both, [*exact, SCANNED], subject=mirror)
    for case in t.cases:
        case["name"] = "attestors-" + case["name"]
    return t
