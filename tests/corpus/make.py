#!/usr/bin/env python3
"""Writes the corpus: attestors/, occurrences/ and cases/.

    make.py [--producers]

    --producers   first makes anew what cosign and notation sign (both on PATH)

Needs Python 3.11, openssl, and gpg where a signature is not in signatures.json yet. A second run changes
nothing.
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from maker import (  # noqa: E402
    appendix, attestor_cases, check_sets, defects, dsse_cases, floods, jwt_cases, keys, occurrences, order, patterns,
    payloads, pgp_cases, producers, rules, shapes, signing, subjects,
)

TOPICS = [patterns, rules, order, keys, pgp_cases, occurrences, payloads, dsse_cases, jwt_cases, attestor_cases, subjects,
          check_sets, floods, defects, appendix, producers]


def write(folder, name, value):
    """Only what changed."""
    path = signing.ROOT / folder / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        print(f"wrote {folder}/{name}.json")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--producers", action="store_true", help="run cosign and notation first")
    if parser.parse_args().producers:
        producers.produce()
    write("attestors", "built-by-ci", shapes.ci())
    write("attestors", "scanned", attestor_cases.scanned())
    write("attestors", "builder", check_sets.builder())
    write("attestors", "scanner", check_sets.scanner())
    write("occurrences", "app-gcloud", shapes.occurrence())
    write("occurrences", "many-signatures", floods.many_signatures())
    for module in TOPICS:
        topic = module.topic()
        write("cases", topic.name, {"topic": topic.name, "cases": topic.cases})
    signing.save()


if __name__ == "__main__":
    main()
