"""What is judged: index, manifest, tag."""

from .shapes import *

INDEX, MANIFEST = D, OTHER


def pulled(image=f"{REPOSITORY}:v1", **digests):
    return {"image": image} | (digests or {"index": INDEX, "manifest": MANIFEST})


def topic():
    t = Topic("subjects")
    of_index, of_manifest, of_config = occurrence(), occurrence(digest=MANIFEST), occurrence(digest=THIRD)
    index, manifest = {"subjects": ["index"]}, {"subjects": ["manifest"]}
    none = deny("NO_ATTESTATION")
    found = {"index": of_index, "manifest": of_manifest, "neither": None}
    for name, one in found.items():
        filed = [one] if one else []
        digest = {"index": INDEX, "manifest": MANIFEST}.get(name)
        good = allow(attestors=says("ATTESTED", digest=digest), message=[f"{digest} is attested by every required attestor"])
        t.attested(f"attested-{name}", "our choice: index and manifest both count", good if one else none, filed, subject=pulled())
        t.attested(f"attested-{name}-index-only", "`subjects` narrows to the index", good if name == "index" else none, filed, subject=pulled(), options=index)
        t.attested(f"attested-{name}-manifest-only", "`subjects` narrows to the manifest", good if name == "manifest" else none, filed, subject=pulled(), options=manifest)
    t.attested("attested-both", "either will do", allow(), [of_index, of_manifest], subject=pulled())
    t.attested("attested-config", "5: never the config digest", none, [of_config], subject=pulled(index=INDEX, manifest=MANIFEST, config=THIRD))
    t.attested("two-attestors-one-digest-each", "AND over attestors, OR over digests: one attested the index, the other the manifest",
               allow(message=[f"every required attestor has attested one of {INDEX}, {MANIFEST}"]),
               [of_index, occurrence(gcloud(MANIFEST), [signature(gcloud(MANIFEST), "p256-b")], note="scanned", digest=MANIFEST)],
               require("built-by-ci", "scanned"), [CI, SCANNED], subject=pulled())
    t.attested("index-attested-and-asked-by-manifest", "the text pins the manifest, the index is not known", none, [of_index],
               subject=pulled(f"{REPOSITORY}@{MANIFEST}", manifest=MANIFEST))
    t.attested("manifest-pinned-in-a-known-index", "the text pins the manifest and the index it came from is known", allow(), [of_index],
               subject=pulled(f"{REPOSITORY}@{MANIFEST}", index=INDEX, manifest=MANIFEST))
    stray = pulled(index=INDEX, otherIndex=THIRD, manifest=MANIFEST)
    t.attested("beside-a-stray-index", "a second index that nobody attested changes nothing", allow(attestors=says("ATTESTED", digest=INDEX)), [of_index], subject=stray)
    t.attested("stray-index-attested", "any digest that leads to the bytes will do", allow(attestors=says("ATTESTED", digest=THIRD), message=[f"{THIRD} is attested"]),
               [occurrence(digest=THIRD)], subject=stray)
    t.attested("stray-index-alone", "a second index mends nothing", none, [], subject=stray)
    t.attested("stray-index-attested-manifest-only", "`subjects` narrows to the manifest", none, [occurrence(digest=THIRD)], subject=stray, options=manifest)
    t.attested("payload-of-the-manifest-filed-at-the-index", "5: the signed payload must name the digest it is filed under", deny("WRONG_PAYLOAD"),
               [occurrence(gcloud(MANIFEST), uri=f"https://{REPOSITORY}@{INDEX}")], subject=pulled(), open=True)
    t.attested("both-listed", "both named is the default", allow(), [of_manifest], subject=pulled(), options={"subjects": ["index", "manifest"]})
    t.attested("single-manifest", "an image without an index", allow(), [of_index], subject=pulled(manifest=INDEX))
    cannot = deny("SUBJECT_NOT_ATTESTABLE")
    t.attested("single-manifest-index-only", "`subjects` leaves nothing to attest", cannot, [of_index], subject=pulled(manifest=INDEX), options=index)
    t.attested("single-index-manifest-only", "`subjects` leaves nothing to attest", cannot, [of_index], subject=pulled(index=INDEX), options=manifest)
    t.attested("unknown-kind", "a digest in the text, of unknown kind: it counts while nothing is narrowed", allow(), [of_index], subject=IMAGE)
    for name, options in (("index", index), ("manifest", manifest)):
        t.attested(f"unknown-kind-{name}-only", "a digest of unknown kind is not attestable once narrowed", cannot, [of_index], subject=IMAGE, options=options)
    t.attested("unknown-kind-both-listed", "both named is the default", allow(), [of_index], subject=IMAGE, options={"subjects": ["index", "manifest"]})
    t.add("narrowed-always-allow", "a rule that asks no attestor asks no digest", allow("ALWAYS_ALLOW"), {"defaultAdmissionRule": ALWAYS_ALLOW}, subject=IMAGE, options=index)
    t.attested("narrowed-in-dry-run", "dry run lets through and says so", dry("SUBJECT_NOT_ATTESTABLE"), [of_index], require(enforcement=DRY_RUN), subject=IMAGE, options=index)

    # Tags
    tag, missing = f"{REPOSITORY}:v1", deny("DIGEST_MISSING", message=["Expected digest with sha256 scheme, but got tag or malformed digest"])
    t.attested("tag", "1.8: tags are denied under REQUIRE_ATTESTATION", missing, [of_index], subject=tag)
    t.attested("no-tag", "1.8: no digest", missing, [of_index], subject=REPOSITORY)
    t.attested("tag-in-dry-run", "dry run lets through and says so", dry("DIGEST_MISSING"), [of_index], require(enforcement=DRY_RUN), subject=tag)
    t.attested("tag-resolved", "our choice: what the tag resolved to is judged", allow(), [of_index], subject=pulled(tag, index=INDEX, manifest=MANIFEST))
    t.attested("tag-and-digest", "the digest counts", allow(), [of_index], subject=f"{tag}@{D}")
    t.attested("tag-and-other-digest", "the digest counts", none, [of_index], subject=f"{tag}@{MANIFEST}")
    denied, strict = deny("TAG_DENIED"), {"denyTags": True}
    t.attested("deny-tags-resolved", "the option refuses what was named by tag", denied, [of_index], subject=pulled(tag, index=INDEX, manifest=MANIFEST), options=strict)
    t.attested("deny-tags-digest", "the text has a digest", allow(), [of_index], subject=IMAGE, options=strict)
    t.attested("deny-tags-tag-and-digest", "the text has a digest", allow(), [of_index], subject=f"{tag}@{D}", options=strict)
    t.attested("deny-tags-unresolved", "no digest at all", deny("DIGEST_MISSING"), [of_index], subject=tag, options=strict, open=True)
    t.add("deny-tags-always-allow", "under REQUIRE_ATTESTATION only", allow("ALWAYS_ALLOW"), {"defaultAdmissionRule": ALWAYS_ALLOW}, subject=pulled(tag, manifest=INDEX), options=strict)
    t.add("deny-tags-pattern", "patterns exempt tags, too", allow("ALLOWLISTED"), require() | {"admissionWhitelistPatterns": [{"namePattern": "registry.example.com/**"}]}, [CI],
          subject=pulled(tag, manifest=INDEX), options=strict)
    t.attested("deny-tags-in-dry-run", "dry run lets through and says so", dry("TAG_DENIED"), [of_index], require(enforcement=DRY_RUN), subject=pulled(tag, manifest=INDEX), options=strict)

    # Broken questions
    for name, image, reason in (("empty", "", "BAD_REQUEST"), ("spaces", "a b", "BAD_REQUEST"), ("upper-case-name", "registry.example.com/Team/app", "BAD_REQUEST"),
                                ("sha512", f"{REPOSITORY}@sha512:{'ab' * 64}", "DIGEST_UNSUPPORTED"), ("short-digest", f"{REPOSITORY}@sha256:abab", "DIGEST_UNSUPPORTED"),
                                ("upper-case-digest", f"{REPOSITORY}@{D.replace('ab', 'AB')}", "DIGEST_UNSUPPORTED")):
        t.attested(f"image-{name}", "a text that is no reference", undecided(reason), [of_index], subject=image, open=True)
    t.attested("image-contradicts", "the text pins a digest that is neither of those resolved", undecided("DIGEST_MISMATCH"), [of_index],
               subject=pulled(IMAGE, index=MANIFEST, manifest=THIRD), open=True)
    for case in t.cases:
        case["name"] = "subject-" + case["name"]
    return t
