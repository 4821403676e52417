#!/usr/bin/env python3
"""Checks the corpus: shape of every case, names, references, reason codes. Prints counts. Standard library only.

Exits 1 and says where, if anything is wrong. Judges nothing.
"""

import collections
import datetime
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent
AT_LEAST = 330

REASONS = {
    "ALLOW": "ALLOWLISTED SYSTEM_POLICY ALWAYS_ALLOW ATTESTED CONFORMANT UNANSWERED UNGATED_START",
    "DENY": "DENY_LISTED ALWAYS_DENY DIGEST_MISSING TAG_DENIED SUBJECT_NOT_ATTESTABLE ATTESTOR_MISSING ATTESTOR_AMBIGUOUS ATTESTOR_WITHOUT_KEYS"
            " NO_ATTESTATION SOURCE_UNREACHABLE LOOKUP_PENDING LOOKUP_LIMITED EVIDENCE_STALE UNKNOWN_KEY TOO_MANY_SIGNATURES MALFORMED_SIGNATURE BAD_SIGNATURE KEY_EXPIRED KEY_REVOKED WRONG_PAYLOAD"
            " DOCKER_REFERENCE_MISMATCH CHECK_ALWAYS_DENY UNTRUSTED_DIRECTORY NO_SIGNED_TIME IMAGE_TOO_OLD NO_PROVENANCE UNTRUSTED_BUILDER"
            " UNTRUSTED_SOURCE NOT_CONFIG_BASED NO_SCAN SCAN_TOO_OLD SCAN_UNREADABLE VULNERABLE"
            " CHECKPOINT_RESTORE HANDLER_UNGATED HOST_ACCESS",
    "CANNOT_DECIDE": "POLICY_MISSING POLICY_UNREADABLE TRUST_LOST EVIDENCE_UNREAD POD_CONTEXT_UNKNOWN BAD_REQUEST DIGEST_UNSUPPORTED DIGEST_MISMATCH"
                     " MEDIA_TYPE_UNKNOWN SNAPSHOT_UNKNOWN SNAPSHOTTER_UNLISTED IMAGE_UNKNOWN IMAGE_MISMATCH CONTAINERD_UNREAD NOT_IN_TIME",
}
REASONS = {verdict: set(codes.split()) for verdict, codes in REASONS.items()}
ATTESTOR_REASONS = REASONS["DENY"] | {"ATTESTED"}
REQUIRED = {"name", "why", "now", "attestors", "occurrences", "subject", "expect"}
OPTIONAL = {"open", "options", "policy", "systemPolicy", "denyList", "platformPolicy"}
OPTIONS = {"allowMultipleRuleMaps": bool, "subjects": list, "denyTags": bool, "dsseTypes": list}
SUBJECT = {"image", "index", "otherIndex", "manifest", "config", "cluster", "namespace", "serviceAccount", "meshIdentity"}
EXPECT = {"verdict", "would", "reason", "rule", "message", "attestors", "checks"}
NAME = re.compile(r"[a-z0-9][a-z0-9.]*(-[a-z0-9.]+)*")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

problems = []
referenced = set()


def check(holds, where, what):
    if not holds:
        problems.append(f"{where}: {what}")
    return holds


def no_duplicates(pairs):
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise ValueError(f"duplicate member in {names}")
    return dict(pairs)


def read(path):
    return json.loads(path.read_text(), object_pairs_hook=no_duplicates)


def reference(text, folder, where):
    fine = re.fullmatch(rf"{folder}/[a-z0-9-]+\.json", text) and (ROOT / text).is_file()
    if check(fine, where, f"`{text}` is not a file of {folder}/"):
        referenced.add(text)


def occurrence(found, where):
    if isinstance(found, str):
        return reference(found, "occurrences", where)
    if not check(isinstance(found, dict), where, "an occurrence is an object or a reference"):
        return None
    if "repeat" in found:
        check(set(found) == {"repeat", "of"} and isinstance(found["repeat"], int) and found["repeat"] > 0, where, "`repeat` has a number and `of`")
        return occurrence(found.get("of"), where)
    if "raw" in found:
        check(set(found) == {"raw"} and isinstance(found["raw"], str), where, "`raw` is a text and alone")
    return None


def expectation(expect, open_, where):
    if not check(isinstance(expect, dict) and set(expect) <= EXPECT and {"verdict", "would", "reason"} <= set(expect), where, f"`expect` has {sorted(expect)}"):
        return
    verdict, would, reason = expect["verdict"], expect["would"], expect["reason"]
    fine = verdict in REASONS and would in REASONS and (verdict == would or (verdict, would) == ("ALLOW", "DENY"))
    if check(fine, where, f"verdict {verdict}, would {would}"):
        check(reason in REASONS[would], where, f"{reason} is no reason to {would}")
    check(isinstance(expect.get("rule", ""), str), where, "`rule` is a text")
    message = expect.get("message", [])
    check(isinstance(message, list) and all(isinstance(part, str) and part for part in message), where, "`message` is a list of texts")
    for name, said in expect.get("attestors", {}).items():
        check(re.fullmatch(r"projects/[^/]+/attestors/[^/]+", name), where, f"`{name}` is no attestor")
        check(set(said) <= {"reason", "keyId", "digest"} and said.get("reason") in ATTESTOR_REASONS, where, f"{name}: {said}")
    for made in expect.get("checks", []):
        check(set(made) == {"type", "verdict"} and made["verdict"] in ("CONFORMANT", "NON_CONFORMANT"), where, f"`checks`: {made}")


def case(found, where):
    if not check(REQUIRED <= set(found) <= REQUIRED | OPTIONAL, where, f"members {sorted(found)}"):
        return
    check(NAME.fullmatch(found["name"]), where, "the name is not kebab-case")
    check(isinstance(found["why"], str) and 0 < len(found["why"]) < 160 and "\n" not in found["why"], where, "`why` is one short sentence")
    try:
        fine = found["now"].endswith("Z") and datetime.datetime.fromisoformat(found["now"])
    except ValueError:
        fine = False
    check(fine, where, "`now` is not RFC 3339")
    check(found.get("open", True) is True, where, "`open` is true or absent")
    for name, value in found.get("options", {}).items():
        check(isinstance(value, OPTIONS.get(name, ())), where, f"option `{name}`")
    check(set(found.get("options", {}).get("subjects", [])) <= {"index", "manifest"}, where, "`subjects`")
    check("policy" in found or "platformPolicy" in found, where, "nothing to judge by")
    for one in found["attestors"]:
        if isinstance(one, str):
            reference(one, "attestors", where)
        else:
            check(isinstance(one, dict), where, "an attestor is an object or a reference")
    for one in found["occurrences"]:
        occurrence(one, where)
    subject = found["subject"]
    check("image" in subject and set(subject) <= SUBJECT and all(isinstance(value, str) for value in subject.values()), where, f"`subject` has {sorted(subject)}")
    check(all(DIGEST.fullmatch(subject[name]) for name in ("index", "otherIndex", "manifest", "config") if name in subject), where, "a digest of the subject is none")
    expectation(found["expect"], found.get("open"), where)


def main():
    names = collections.Counter()
    rows, reasons = [], collections.Counter()
    paths = sorted((ROOT / "cases").glob("*.json"))
    for path in paths:
        try:
            document = read(path)
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
            continue
        if not check(set(document) == {"topic", "cases"} and document["topic"] == path.stem, path.name, "members are `topic`, as the file is called, and `cases`"):
            continue
        for number, found in enumerate(document["cases"]):
            case(found, f"{path.name}: {found.get('name', number)}")
            names[found.get("name")] += 1
            reasons[found["expect"]["reason"]] += 1
        rows.append((document["topic"], len(document["cases"]), sum(found.get("open", False) for found in document["cases"])))
    for name, count in names.items():
        check(count == 1, "names", f"`{name}` is there {count} times")
    for folder in ("attestors", "occurrences"):
        for path in sorted((ROOT / folder).glob("*.json")):
            read(path)
            check(f"{folder}/{path.name}" in referenced, f"{folder}/{path.name}", "no case refers to it")
    total = sum(count for _, count, _ in rows)
    check(total >= AT_LEAST, "cases", f"{total}, fewer than {AT_LEAST}")
    missing = set().union(*REASONS.values()) - set(reasons)
    print("| topic | cases | open |\n|---|---:|---:|")
    for topic, count, open_ in sorted(rows):
        print(f"| {topic} | {count} | {open_} |")
    print(f"| all | {total} | {sum(open_ for *_, open_ in rows)} |")
    print(f"\nreasons no case expects: {', '.join(sorted(missing)) or 'none'}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
