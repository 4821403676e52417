"""Platform policies: check sets."""

from .dsse_cases import COSIGN_VULN, OTHER_TYPE, scan, vsa, VSA
from .shapes import *

V02, V1 = "https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1"
IN_TOTO_VULNS = "https://in-toto.io/attestation/vulns/v0.1"
GCB = "https://cloudbuild.googleapis.com/GoogleHostedWorker"
OWN = "https://ci.acme.example/builder@v2"
REPO = "https://github.com/acme/app"
BUILDER, SCANNER = attestor_name("builder"), attestor_name("scanner")
FINISHED = "2026-11-20T12:00:00Z"  # four days before NOW
APP = f"gcr.io/p/r/app@{D}"


SIGNERS = ["attestors/builder.json", "attestors/scanner.json"]


def builder():
    """Signs provenance."""
    return attestor("builder", [pkix("p384", "ECDSA_P384_SHA384")])


def scanner():
    """Signs scans."""
    return attestor("scanner", [pkix("rsa2048", "RSA_PSS_2048_SHA256")])


def platform(*sets, mode="AUDIT_AND_ENFORCE", allow=None, **more):
    found = {"gkePolicy": {"checkSets": list(sets)}}
    if allow:
        found["gkePolicy"]["imageAllowlist"] = {"allowPattern": list(allow)}
    return found | ({"binauthdEnforcementMode": mode} if mode else {}) | more


def check_set(*checks, scope=None, allow=None, name=None):
    found = {"checks": list(checks)}
    if scope:
        found["scope"] = {"kubernetesServiceAccount" if ":" in scope else "kubernetesNamespace": scope}
    if allow:
        found["imageAllowlist"] = {"allowPattern": list(allow)}
    return found | ({"displayName": name} if name else {})


def allowing(check, *patterns):
    return check | {"imageAllowlist": {"allowPattern": list(patterns)}}


NEVER = {"alwaysDeny": True}


def dirs(*patterns):
    return {"trustedDirectoryCheck": {"trustedDirPatterns": list(patterns)}}


def fresh(days=30, *names):
    return {"imageFreshnessCheck": {"maxUploadAgeDays": days, "binauthdAttestors": list(names) or [BUILDER]}}


def keys_of(*keys, name="authority"):
    return {"displayName": name, "pkixPublicKeySet": {"pkixPublicKeys": [
        {"publicKeyPem": signing.pem(key), "signatureAlgorithm": algorithm} for key, algorithm in keys]}}


def signed_by(*authenticators, projects=("projects/acme-att",)):
    return {"simpleSigningAttestationCheck": {"containerAnalysisAttestationProjects": list(projects), "attestationAuthenticators": list(authenticators)}}


def slsa(builder=True, ids=(), sources=("github.com/acme/app",), config=None, names=(BUILDER,), projects=None):
    rule = {"trustedSourceRepoPatterns": list(sources)}
    if builder:
        rule["trustedBuilder"] = "GOOGLE_CLOUD_BUILD"
    if ids:
        rule["binauthdBuilderIds"] = list(ids)
    if config is not None:
        rule["configBasedBuildRequired"] = config
    if projects:
        rule["attestationSource"] = {"containerAnalysisAttestationProjects": list(projects)}
    return {"slsaCheck": {"rules": [rule], "binauthdAttestors": list(names)}}


def vulnerable(fixable="MEDIUM", unfixable="HIGH", names=(SCANNER,), **more):
    return {"vulnerabilityCheck": {"maximumFixableSeverity": fixable, "maximumUnfixableSeverity": unfixable, "binauthdAttestors": list(names)} | more}


def provenance_v1(builder=GCB, source=REPO, config=True, finished=FINISHED):
    parameters = {"buildConfigSource": {"repository": source, "path": "cloudbuild.yaml", "ref": "refs/heads/main"}} if config else {}
    dependencies = [{"uri": f"git+{source}@refs/heads/main", "digest": {"gitCommit": "ab" * 20}}]
    metadata = {"invocationId": "1"} | ({"finishedOn": finished} if finished else {})
    return {"buildDefinition": {"buildType": "https://cloud.google.com/build/gcb-buildtypes/google-worker/v1", "externalParameters": parameters, "resolvedDependencies": dependencies},
            "runDetails": {"builder": {"id": builder}, "metadata": metadata}}


def provenance_v02(builder=OWN, source=REPO, config=True, finished=FINISHED):
    invocation = {"configSource": {"uri": f"git+{source}", "digest": {"sha1": "ab" * 20}} | ({"entryPoint": ".ci/build.yaml"} if config else {})}
    return {"builder": {"id": builder}, "buildType": "https://acme.example/build", "invocation": invocation,
            "metadata": {"buildFinishedOn": finished} if finished else {}, "materials": [{"uri": f"git+{source}", "digest": {"sha1": "ab" * 20}}]}


def built(predicate=None, kind=V1, digest=D, key="p384", algorithm="ECDSA_P384_SHA384", note="builder", id="b1", project="acme-att", **more):
    body = statement(kind, provenance_v1() if predicate is None else predicate, [digest])
    return dsse(envelope(body, key=key, algorithm=algorithm), note=note, digest=digest, id=id, project=project, **more)


def scanned(predicate, kind=COSIGN_VULN, digest=D, key="rsa2048", algorithm="RSA_PSS_2048_SHA256", note="scanner", id="s1", project="acme-att", **more):
    return dsse(envelope(statement(kind, predicate, [digest]), key=key, algorithm=algorithm), note=note, digest=digest, id=id, project=project, **more)


def in_toto_scan(*severities, finished="2026-11-24T00:00:00Z"):
    return {"scanner": {"uri": "https://scanner.example", "version": "1", "db": {"uri": "https://scanner.example/db", "version": "1", "lastUpdate": finished},
                        "result": [{"id": f"CVE-2026-{2000 + n}", "severity": [{"method": "nvd", "score": severity}]} for n, severity in enumerate(severities)]},
            "metadata": {"scanStartedOn": finished, "scanFinishedOn": finished}}


# 2.3. Pattern, image, whether it lies there.
DIRECTORIES = [
    ("exact", "gcr.io/p/r", "gcr.io/p/r/app", True), ("exact-deeper", "gcr.io/p/r", "gcr.io/p/r/x/app", False), ("exact-above", "gcr.io/p/r", "gcr.io/p/app", False),
    ("exact-sibling", "gcr.io/p/r", "gcr.io/p/r2/app", False), ("star", "gcr.io/p/*", "gcr.io/p/r/app", True), ("star-deeper", "gcr.io/p/*", "gcr.io/p/r/x/app", False),
    ("star-itself", "gcr.io/p/*", "gcr.io/p/app", False), ("star-star", "gcr.io/p/**", "gcr.io/p/r/x/app", True), ("star-star-itself", "gcr.io/p/**", "gcr.io/p/app", True),
    ("star-star-sibling", "gcr.io/p/**", "gcr.io/p2/app", False), ("registry-star-star", "gcr.io/**", "gcr.io/app", True), ("leading", "*-docker.pkg.dev/p/r", "us-docker.pkg.dev/p/r/app", True),
    ("leading-long", "*-docker.pkg.dev/p/r", "europe-west1-docker.pkg.dev/p/r/app", True), ("leading-other", "*-docker.pkg.dev/p/r", "us-docker.pkg.dev.evil.example/p/r/app", False),
    ("leading-nothing", "*-docker.pkg.dev/p/r", "docker.pkg.dev/p/r/app", False), ("leading-subdomain", "*.gcr.io/p", "eu.gcr.io/p/app", True),
    ("leading-subdomain-missing", "*.gcr.io/p", "gcr.io/p/app", False), ("leading-not-the-path", "*.gcr.io/p", "evil.example/x.gcr.io/p/app", False),
    ("tag", "gcr.io/p/r", "gcr.io/p/r/app:v1", True), ("digest", "gcr.io/p/r", APP, True), ("hub-normalised", "docker.io/library", "nginx", True), ("case", "gcr.io/P/r", "gcr.io/p/r/app", None),
]
BAD_DIRECTORIES = ["gcr.i*", "sub*domain.gcr.io/x", "*pkg.dev/p/r", "**-docker.pkg.dev", "", "*", "gcr.io/p/*/r", "gcr.io/p***", "gcr.io/p**", "gcr/p", "gcr.io/p:tag"]

# 2.2. Pattern, image, whether it matches; None for a pattern that is refused.
DIALECT_B = [
    ("name-any-tag", "r.io/p/img", "r.io/p/img:v1", True), ("name-any-digest", "r.io/p/img", f"r.io/p/img@{D}", True), ("name-both", "r.io/p/img", f"r.io/p/img:v1@{D}", True),
    ("name-other", "r.io/p/img", "r.io/p/img2:v1", False), ("tag-any-digest", "r.io/p/img:v1", f"r.io/p/img:v1@{D}", True), ("tag-other", "r.io/p/img:v1", "r.io/p/img:v2", False),
    ("tag-missing", "r.io/p/img:v1", f"r.io/p/img@{D}", False), ("tag-prefix", "r.io/p/img:v1*", "r.io/p/img:v1.3", True), ("tag-prefix-other", "r.io/p/img:v1*", "r.io/p/img:v2", False),
    ("digest-any-tag", f"r.io/p/img@{D}", f"r.io/p/img:v1@{D}", True), ("digest-other", f"r.io/p/img@{D}", f"r.io/p/img@{OTHER}", False),
    ("tag-and-digest", f"r.io/p/img:v1@{D}", f"r.io/p/img:v1@{D}", True), ("tag-and-digest-no-tag", f"r.io/p/img:v1@{D}", f"r.io/p/img@{D}", False),
    ("star", "r.io/p/*", "r.io/p/img:v1", True), ("star-prefix", "r.io/p/im*", "r.io/p/img:v1", True), ("star-deeper", "r.io/p/*", "r.io/p/x/img", False), ("star-star", "r.io/p/**", "r.io/p/x/img:v1", True),
    ("star-star-sibling", "r.io/p/**", "r.io/px/img", False), ("no-separator", "r.io/p**", None, None), ("any-tag", "r.io/p/img:*", None, None), ("star-alone", "*", None, None),
    ("star-star-alone", "**", None, None), ("name-wildcard-and-tag", "r.io/p/*:v1", None, None), ("digest-wildcard", "r.io/p/img@sha256:*", None, None), ("empty", "", None, None),
]


def topic():
    t = Topic("check-sets")
    good = allow("CONFORMANT")

    def add(name, why, expect, platform_policy, occurrences=(), subject=APP, **more):
        t.add(f"checks-{name}", why, expect, attestors=SIGNERS, occurrences=list(occurrences), subject=subject, platformPolicy=platform_policy, **more)

    def one(name, why, expect, check, *occurrences, **more):
        add(name, why, expect, platform(check_set(check)), occurrences, **more)

    def fails(reason, kind, at="checkSets[0].checks[0]"):
        return deny(reason, rule=at, checks=[{"type": kind, "verdict": "NON_CONFORMANT"}])

    def passes(kind):
        return good | {"checks": [{"type": kind, "verdict": "CONFORMANT"}]}

    never = deny("CHECK_ALWAYS_DENY", rule="checkSets[0].checks[0]")
    # Sets and scopes
    add("no-sets", "1.10: no check sets allow everything", good, platform())
    add("empty-checks", "1.10: an empty set always allows", good, platform(check_set()))
    one("always-deny", "1.10", never, NEVER)
    add("second-check-fails", "1.10: every check must pass", deny("CHECK_ALWAYS_DENY", rule="checkSets[0].checks[1]"), platform(check_set(dirs("gcr.io/**"), NEVER)))
    add("first-failure-is-told", "the first check that fails gives the reason", deny("UNTRUSTED_DIRECTORY", rule="checkSets[0].checks[0]"), platform(check_set(dirs("gcr.io/q"), NEVER)))
    scoped = platform(check_set(NEVER, scope="shop"), check_set())
    add("namespace-scope", "1.10: the set of the namespace", never, scoped, subject={"image": APP, "namespace": "shop"})
    add("namespace-scope-other", "1.10: the default set", good, scoped, subject={"image": APP, "namespace": "bank"})
    add("namespace-scope-unknown", "sets that may apply disagree", undecided("POD_CONTEXT_UNKNOWN"), scoped)
    add("namespace-scope-unknown-all-deny", "sets that may apply agree", deny("CHECK_ALWAYS_DENY"), platform(check_set(NEVER, scope="shop"), check_set(NEVER)))
    add("namespace-scope-unknown-all-allow", "sets that may apply agree", good, platform(check_set(dirs("gcr.io/**"), scope="shop"), check_set()))
    account = platform(check_set(scope="shop:web"), check_set(NEVER, scope="shop"), check_set())
    add("service-account-scope", "1.10: the most specific set, once", good, account, subject={"image": APP, "namespace": "shop", "serviceAccount": "web"})
    add("service-account-scope-other", "1.10: the set of the namespace", deny("CHECK_ALWAYS_DENY", rule="checkSets[1].checks[0]"), account, subject={"image": APP, "namespace": "shop", "serviceAccount": "batch"})
    add("service-account-scope-unknown", "sets that may apply disagree", undecided("POD_CONTEXT_UNKNOWN"), account, subject={"image": APP, "namespace": "shop"})
    add("service-account-scope-other-namespace", "1.10: neither set is for this namespace", good, account, subject={"image": APP, "namespace": "bank"})
    add("only-the-first-set", "1.10: exactly one set is evaluated", good, platform(check_set(scope="shop"), check_set(NEVER)), subject={"image": APP, "namespace": "shop"})
    # Allowlists
    add("allowlist-policy", "1.10: a match skips the policy", good, platform(check_set(NEVER), allow=["gcr.io/p/**"]))
    add("allowlist-set", "1.10: a match skips the set", good, platform(check_set(NEVER, allow=["gcr.io/p/**"])))
    add("allowlist-check", "1.10: a match skips the check", good, platform(check_set(allowing(NEVER, "gcr.io/p/**"))))
    add("allowlist-check-only", "1.10: a match skips that check only", deny("UNTRUSTED_DIRECTORY", rule="checkSets[0].checks[1]"), platform(check_set(allowing(NEVER, "gcr.io/p/**"), dirs("gcr.io/q"))))
    add("allowlist-of-another-set", "1.10: the allowlist of a set that is not evaluated", never | {"rule": "checkSets[1].checks[0]"}, platform(check_set(scope="shop", allow=["gcr.io/p/**"]), check_set(NEVER)),
        subject={"image": APP, "namespace": "bank"})
    for name, pattern, image, matches in DIALECT_B:
        policy = platform(check_set(NEVER), allow=[pattern])
        if matches is None:
            add(f"allow-pattern-invalid-{name}", "2.2: an invalid pattern refuses the policy", unreadable("allowPattern"), policy, open=True)
        else:
            add(f"allow-pattern-{name}", "2.2", good if matches else never, policy, subject=image)
    # Trusted directories
    for name, pattern, image, lies in DIRECTORIES:
        if lies is None:
            one(f"directory-{name}", "2.3: a directory nobody can have", unreadable(), dirs(pattern), subject=image, open=True)
        else:
            one(f"directory-{name}", "2.3", passes("TrustedDirectoryCheck") if lies else fails("UNTRUSTED_DIRECTORY", "TrustedDirectoryCheck"), dirs(pattern), subject=image)
    one("directory-second", "2.3: any of them", good, dirs("gcr.io/q", "gcr.io/p/r"))
    one("directory-image-id", "an image without a name lies nowhere", deny("UNTRUSTED_DIRECTORY"), dirs("gcr.io/**"), subject={"image": D, "manifest": OTHER})
    for index, pattern in enumerate(BAD_DIRECTORIES):
        one(f"directory-invalid-{index}", f"2.3: `{pattern}` is refused", unreadable("trustedDirPatterns"), dirs(pattern), open=index > 3)
    # Simple signing
    kind = "SimpleSigningAttestationCheck"
    ours, theirs = keys_of(("p256", P256)), keys_of(("p256-b", P256), name="second")
    ok = occurrence(uri=f"https://{APP}")
    by_other = occurrence(gcloud(), [signature(gcloud(), "p256-b")], id="2", note="scanned")
    one("simple-signing", "1.10: any key verifies any attestation", passes(kind), signed_by(ours), ok)
    one("simple-signing-any-note", "1.10: no note is named", good, signed_by(ours), occurrence(note="projects/x/notes/y"))
    one("simple-signing-pae", "4.7 (c)", good, signed_by(ours), occurrence(gcloud(), [signature(pae(gcloud()))]))
    one("simple-signing-none", "nothing is filed", fails("NO_ATTESTATION", kind), signed_by(ours))
    one("simple-signing-wrong-key", "signed by another key", deny("UNKNOWN_KEY"), signed_by(ours), by_other)
    one("simple-signing-other-image", "the signed digest decides", deny("WRONG_PAYLOAD"), signed_by(ours), occurrence(gcloud(OTHER), uri=f"https://{APP}"))
    one("simple-signing-or-authenticators", "1.10: OR over authenticators", good, signed_by(ours, theirs), by_other)
    add("simple-signing-two-checks", "1.10: to require two, write two checks", deny("UNKNOWN_KEY", rule="checkSets[0].checks[1]"), platform(check_set(signed_by(ours), signed_by(theirs))), [ok], open=True)
    add("simple-signing-two-checks-both", "1.10: to require two, write two checks", good, platform(check_set(signed_by(ours), signed_by(theirs))), [ok, by_other])
    one("simple-signing-tag", "1.10: tags fail unless allowlisted", deny("DIGEST_MISSING"), signed_by(ours), ok, subject="gcr.io/p/r/app:v1")
    away = occurrence(note="projects/elsewhere/notes/n", project="elsewhere")
    one("simple-signing-other-project", "1.10: in the listed projects only", deny("NO_ATTESTATION"), signed_by(ours), away)
    one("simple-signing-second-project", "1.10: any listed project", good, signed_by(ours, projects=["projects/acme-att", "projects/elsewhere"]), away)
    one("simple-signing-project-prefix", "8, Grafeas 3: projects are compared whole", deny("NO_ATTESTATION"), signed_by(ours, projects=["projects/else"]), away)
    one("simple-signing-key-id", "3.1: keyId on its own", good, signed_by({"pkixPublicKeySet": {"pkixPublicKeys": [{"publicKeyPem": signing.pem("p256"), "signatureAlgorithm": P256, "keyId": "k"}]}}),
        occurrence(gcloud(), [signature(gcloud(), id="k")]))
    # Freshness
    kind = "ImageFreshnessCheck"
    one("fresh", "a signed time, four days ago", passes(kind), fresh(30), built())
    one("fresh-v0.2", "SLSA v0.2: buildFinishedOn", good, fresh(30), built(provenance_v02(), V02))
    one("fresh-exactly", "as old as allowed", good, fresh(4), built())
    one("fresh-a-second-over", "older than allowed", fails("IMAGE_TOO_OLD", kind), fresh(4), built(), now="2026-11-24T12:00:01Z")
    one("fresh-too-old", "older than allowed", deny("IMAGE_TOO_OLD"), fresh(3), built())
    one("fresh-newest", "the newest signed time counts", good, fresh(3), built(), built(provenance_v1(finished="2026-11-23T00:00:00Z"), id="b2"))
    one("fresh-no-time", "provenance without a time", deny("NO_SIGNED_TIME"), fresh(30), built(provenance_v1(finished=None)))
    one("fresh-none", "nothing is filed", deny("NO_SIGNED_TIME"), fresh(30))
    one("fresh-stranger", "signed by somebody else", deny("NO_SIGNED_TIME"), fresh(30), built(key="p256", algorithm=P256))
    one("fresh-unsigned-time", "createTime of the occurrence is nobody's word", deny("NO_SIGNED_TIME"), fresh(30), occurrence(note="builder"))
    one("fresh-another-image", "of another digest", deny("NO_SIGNED_TIME"), fresh(30), built(digest=OTHER))
    one("fresh-future", "a time that has not come yet", deny("NO_SIGNED_TIME"), fresh(30), built(provenance_v1(finished="2026-12-24T00:00:00Z")), open=True)
    one("fresh-tag", "no digest to be told the age of", deny("DIGEST_MISSING"), fresh(30), built(), subject="gcr.io/p/r/app:v1")
    # SLSA
    kind = "SlsaCheck"
    one("slsa", "1.10: trusted builder and source", passes(kind), slsa(), built())
    one("slsa-own-builder", "binauthdBuilderIds", good, slsa(False, [OWN]), built(provenance_v02(), V02))
    one("slsa-own-builder-v1", "binauthdBuilderIds", good, slsa(False, [OWN]), built(provenance_v1(OWN)))
    one("slsa-none", "nothing is filed", fails("NO_PROVENANCE", kind), slsa())
    one("slsa-untrusted-builder", "another builder", fails("UNTRUSTED_BUILDER", kind), slsa(), built(provenance_v1(OWN)))
    one("slsa-builder-prefix", "builder ids are compared whole", deny("UNTRUSTED_BUILDER"), slsa(False, [OWN]), built(provenance_v1(OWN + ".evil")))
    one("slsa-untrusted-source", "another repository", fails("UNTRUSTED_SOURCE", kind), slsa(), built(provenance_v1(source="https://github.com/acme/other")))
    for name, pattern, source, trusted in (
        ("star", "github.com/acme/*", REPO, True), ("star-deeper", "gitlab.example/acme/*", "https://gitlab.example/acme/x/app", False), ("star-star", "gitlab.example/acme/**", "https://gitlab.example/acme/x/app", True),
        ("sibling", "github.com/acme/*", "https://github.com/acme2/app", False), ("other-host", "github.com/acme/*", "https://evil.example/github.com/acme/app", False),
        ("user-info", "github.com/acme/*", "https://github.com@evil.example/acme/app", False), ("dots", "github.com/acme/**", "https://github.com/acme/../evil/app", False), ("suffix-git", "github.com/acme/app", REPO + ".git", True),
    ):
        one(f"slsa-source-{name}", "2.4: URL without scheme, `/*` or `/**`", good if trusted else deny("UNTRUSTED_SOURCE"), slsa(sources=[pattern]), built(provenance_v1(source=source)),
            open=name in ("suffix-git", "user-info", "dots"))
    one("slsa-config-based", "configBasedBuildRequired", good, slsa(config=True), built())
    one("slsa-not-config-based", "configBasedBuildRequired", fails("NOT_CONFIG_BASED", kind), slsa(config=True), built(provenance_v1(config=False)))
    one("slsa-not-config-based-not-required", "configBasedBuildRequired is false", good, slsa(config=False), built(provenance_v1(config=False)))
    one("slsa-not-config-based-v0.2", "configBasedBuildRequired", deny("NOT_CONFIG_BASED"), slsa(False, [OWN], config=True), built(provenance_v02(config=False), V02))
    one("slsa-stranger", "signed by somebody else", deny("NO_PROVENANCE"), slsa(), built(key="p256", algorithm=P256))
    one("slsa-foreign-note", "of the signer's note only", deny("NO_PROVENANCE"), slsa(), built(note="scanner"))
    one("slsa-another-image", "of another digest", deny("NO_PROVENANCE"), slsa(), built(digest=OTHER))
    one("slsa-refiled", "signed for another digest, filed under ours", deny("NO_PROVENANCE"), slsa(), {**built(digest=OTHER), "resourceUri": f"https://{APP}"})
    one("slsa-bad-beside-good", "OR over provenance", good, slsa(), built(provenance_v1("https://evil.example"), id="b0"), built())
    one("slsa-attestation-is-no-provenance", "a simple-signing attestation says nothing of a build", deny("NO_PROVENANCE"), slsa(),
        occurrence(gcloud(), [signature(gcloud(), "p384", "ECDSA_P384_SHA384")], note="builder"))
    one("slsa-other-project", "1.10: in the listed projects only", deny("NO_PROVENANCE"), slsa(projects=["projects/x"]), built(note="builder"), open=True)
    one("slsa-project", "1.10: in the listed projects", good, slsa(projects=["projects/acme-att"]), built())
    two = slsa()
    two["slsaCheck"]["rules"].append(slsa(False, [OWN])["slsaCheck"]["rules"][0])
    one("slsa-second-rule", "OR over rules", good, two, built(provenance_v1(OWN)))
    # Vulnerabilities
    kind = "VulnerabilityCheck"
    levels = ["MINIMAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
    one("scan-clean", "nothing was found", passes(kind), vulnerable(), scanned(scan()))
    for fixed in (True, False):
        word = "fixable" if fixed else "unfixable"
        for limit in ["BLOCK_ALL", *levels, "ALLOW_ALL"]:
            for found in ("LOW", "HIGH", "CRITICAL"):
                bound = {"fixable" if fixed else "unfixable": limit, "unfixable" if fixed else "fixable": "ALLOW_ALL" if limit != "ALLOW_ALL" else "BLOCK_ALL"}
                fine = limit == "ALLOW_ALL" or (limit != "BLOCK_ALL" and levels.index(found) <= levels.index(limit))
                one(f"scan-{word}-{found.lower()}-limit-{limit.lower().replace('_', '-')}", f"1.10: the most severe {word} finding that passes", good if fine else fails("VULNERABLE", kind),
                    vulnerable(**bound), scanned(scan(found, fixed=fixed)))
    strict = vulnerable("BLOCK_ALL", "BLOCK_ALL")
    one("scan-block-all-clean", "1.10: BLOCK_ALL blocks findings", good, strict, scanned(scan()))
    one("scan-allowed-cve", "1.10: allowedCves", good, vulnerable("BLOCK_ALL", "BLOCK_ALL", allowedCves=["CVE-2026-1000"]), scanned(scan("CRITICAL")))
    one("scan-allowed-cve-other", "1.10: allowedCves lists one of two", deny("VULNERABLE", message=["CVE-2026-1001"]), vulnerable("BLOCK_ALL", "BLOCK_ALL", allowedCves=["CVE-2026-1000"]), scanned(scan("LOW", "LOW")))
    one("scan-blocked-cve", "1.10: blockedCves", deny("VULNERABLE", message=["CVE-2026-1000"]), vulnerable("ALLOW_ALL", "ALLOW_ALL", blockedCves=["CVE-2026-1000"]), scanned(scan("MINIMAL")))
    one("scan-blocked-cve-absent", "1.10: blockedCves", good, vulnerable("ALLOW_ALL", "ALLOW_ALL", blockedCves=["CVE-2026-9999"]), scanned(scan("CRITICAL")))
    one("scan-blocked-cve-prefix", "ids are compared whole", good, vulnerable("ALLOW_ALL", "ALLOW_ALL", blockedCves=["CVE-2026-100"]), scanned(scan("CRITICAL")))
    old, older = "2026-11-22T12:00:00Z", "2026-11-01T00:00:00Z"
    one("scan-newest-clean", "the newest scan decides", good, strict, scanned(scan("CRITICAL", finished=older)), scanned(scan(), id="s2"))
    one("scan-newest-dirty", "the newest scan decides", deny("VULNERABLE"), strict, scanned(scan(finished=older)), scanned(scan("LOW"), id="s2"))
    one("scan-newest-by-signed-time", "by the signed time, not by createTime", deny("VULNERABLE"), strict, scanned(scan(finished=older), created="2026-11-24T00:00:00Z"),
        scanned(scan("LOW"), id="s2", created="2026-01-01T00:00:00Z"))
    for name, text in (("proto", "172800s"), ("words", "48h")):
        one(f"scan-age-{name}", "maxScanAge: as old as allowed", good, vulnerable(maxScanAge=text), scanned(scan(finished=old)))
        one(f"scan-too-old-{name}", "maxScanAge: a second older", fails("SCAN_TOO_OLD", kind), vulnerable(maxScanAge=text), scanned(scan(finished=old)), now="2026-11-24T12:00:01Z")
    one("scan-old-without-limit", "no maxScanAge: any age", good, vulnerable(), scanned(scan(finished=older)))
    one("scan-none", "nothing is filed", fails("NO_SCAN", kind), vulnerable())
    unsigned = {"name": "projects/acme-att/occurrences/v", "resourceUri": f"https://{APP}", "noteName": "projects/goog-vulnz/notes/CVE-2026-1000", "kind": "VULNERABILITY",
                "vulnerability": {"severity": "LOW", "effectiveSeverity": "LOW"}}
    one("scan-unsigned", "an unsigned vulnerability occurrence says nothing", deny("NO_SCAN"), vulnerable(), unsigned)
    one("scan-discovery", "an unsigned discovery occurrence says nothing", deny("NO_SCAN"), vulnerable(), {**unsigned, "kind": "DISCOVERY", "vulnerability": None, "discovery": {"analysisStatus": "FINISHED_SUCCESS"}})
    one("scan-stranger", "signed by somebody else", deny("NO_SCAN"), vulnerable(), scanned(scan(), key="p256", algorithm=P256))
    one("scan-stranger-does-not-block", "a stranger's scan says nothing either way", good, strict, scanned(scan()), scanned(scan("CRITICAL"), id="s2", key="p256", algorithm=P256))
    one("scan-stranger-newer-clean", "a stranger's newer scan does not clear", deny("VULNERABLE"), strict, scanned(scan("HIGH", finished=old)), scanned(scan(), id="s2", key="p256", algorithm=P256))
    one("scan-another-image", "of another digest", deny("NO_SCAN"), vulnerable(), scanned(scan(), digest=OTHER))
    one("scan-by-another-signer", "of the named signers only", deny("NO_SCAN"), vulnerable(names=[BUILDER]), scanned(scan()))
    one("scan-second-signer", "OR over signers", good, vulnerable(names=[BUILDER, SCANNER]), scanned(scan()))
    one("scan-not-a-report", "a predicate of a known type that cannot be read", deny("SCAN_UNREADABLE"), vulnerable(), scanned({"scanner": {"result": {}}, "metadata": {}}), open=True)
    one("scan-no-time", "a scan without a time", deny("SCAN_UNREADABLE"), vulnerable(), scanned({**scan(), "metadata": {}}), open=True)
    one("scan-unknown-severity", "a severity nobody knows is the worst", deny("VULNERABLE"), vulnerable("HIGH", "HIGH"), scanned(scan("UNKNOWN")), open=True)
    one("scan-in-toto", "in-toto's own predicate", good, vulnerable("LOW", "LOW"), scanned(in_toto_scan("LOW"), IN_TOTO_VULNS))
    one("scan-in-toto-high", "in-toto's own predicate", deny("VULNERABLE"), vulnerable("LOW", "LOW"), scanned(in_toto_scan("HIGH"), IN_TOTO_VULNS))
    one("scan-in-toto-score", "a CVSS score", deny("VULNERABLE"), vulnerable("MEDIUM", "MEDIUM"), scanned(in_toto_scan("9.1"), IN_TOTO_VULNS), open=True)
    one("scan-fixability-not-told", "what may be fixable is judged by the stricter limit", deny("VULNERABLE"), vulnerable("LOW", "ALLOW_ALL"), scanned(in_toto_scan("HIGH"), IN_TOTO_VULNS), open=True)
    one("scan-tag", "no digest to be scanned", deny("DIGEST_MISSING"), vulnerable(), scanned(scan()), subject="gcr.io/p/r/app:v1")
    one("scan-of-the-manifest", "OR over digests of the subject", good, vulnerable(), scanned(scan(), digest=OTHER), subject={"image": "gcr.io/p/r/app:v1", "index": D, "manifest": OTHER})
    one("scan-other-project", "1.10: in the listed projects only", deny("NO_SCAN"), vulnerable(containerAnalysisVulnerabilityProjects=["projects/x"]), scanned(scan()), open=True)

    # What hides or stands in for a scan
    here = vulnerable("BLOCK_ALL", "BLOCK_ALL", containerAnalysisVulnerabilityProjects=["projects/acme-att"])
    found = scanned(scan("CRITICAL", finished=old), id="s2")
    copied = found | {"name": "projects/evil/occurrences/x", "createTime": "2031-01-01T00:00:00Z"}
    one("scan-copied-to-another-project", "a copy elsewhere moves nothing out of the listed projects", deny("VULNERABLE"), here, copied, found, scanned(scan(finished=older)))
    one("scan-newer-in-another-project", "the newest of the listed projects decides", deny("VULNERABLE"), here, found, scanned(scan(), id="s3", project="elsewhere"))
    both = {"image": "gcr.io/p/r/app:v1", "index": D, "manifest": OTHER}
    one("scan-of-the-index-does-not-clear-the-manifest", "each digest answers for its own scans", deny("VULNERABLE"), strict,
        scanned(scan()), scanned(scan("CRITICAL", finished=older), digest=OTHER, id="s2"), subject=both)
    # A second index on the node that leads to the same manifest
    stray = both | {"otherIndex": THIRD}
    month = vulnerable("BLOCK_ALL", "BLOCK_ALL", maxScanAge="720h")
    january = "2026-01-10T00:00:00Z"
    of = lambda digest, *severities, finished=older: scanned(scan(*severities, finished=finished), digest=digest, id="s" + digest[-2:])
    one("stray-index-scanned-manifest", "an index that nothing is filed for changes nothing", good, month, of(OTHER), subject=stray)
    one("stray-index-scanned-index", "an index that nothing is filed for changes nothing", good, month, of(D), subject=stray)
    one("stray-index-bad-manifest", "an index that nothing is filed for mends nothing", deny("VULNERABLE"), month, of(OTHER, "CRITICAL"), subject=stray)
    one("stray-index-nothing-scanned", "an index that nothing is filed for changes nothing", deny("NO_SCAN"), month, subject=stray)
    one("stray-index-scanned-does-not-clear", "one that passes clears no other", deny("VULNERABLE"), month, of(OTHER, "CRITICAL"), of(THIRD, finished=old), subject=stray)
    one("stray-index-scanned-bad", "each digest answers for its own scans", deny("VULNERABLE"), month, of(OTHER, finished=old), of(THIRD, "CRITICAL"), subject=stray)
    one("scan-old-and-bad-of-the-manifest", "an index may have been scanned for another platform", deny("VULNERABLE", message=["no scan of an index clears it"]), month,
        of(OTHER, "CRITICAL", finished=january), of(THIRD), subject=stray)
    one("scan-old-and-bad-of-the-manifest-alone", "too old to be asked", deny("SCAN_TOO_OLD"), month, of(OTHER, "CRITICAL", finished=january), subject=stray)
    one("scan-old-and-clean-of-the-manifest", "a newer scan of another digest makes good what is only old", good, month, of(OTHER, finished=january), of(D), subject=stray)
    one("scan-old-and-bad-of-an-index", "a newer scan of the very bytes makes it good", good, month, of(THIRD, "CRITICAL", finished=january), of(OTHER), subject=stray)
    one("stray-index-fresh", "the newest signed time of any digest counts", good, fresh(4), built(digest=OTHER), built(provenance_v1(finished=january), digest=THIRD, id="b2"), subject=stray)
    one("stray-index-slsa", "OR over provenance of any digest", good, slsa(), built(digest=OTHER), built(provenance_v1("https://evil.example"), digest=THIRD, id="b2"), subject=stray)
    one("stray-index-slsa-none", "an index that nothing is filed for mends nothing", deny("UNTRUSTED_BUILDER"), slsa(), built(provenance_v1("https://evil.example"), digest=OTHER), subject=stray)
    one("stray-index-simple-signing", "an index that nothing is filed for changes nothing", good, signed_by(ours), occurrence(), subject=stray)

    one("scan-signer-not-defined", "whoever cannot be asked may have found something", deny("SCAN_UNREADABLE"), vulnerable(names=[SCANNER, "projects/acme-sec/attestors/gone"]), scanned(scan()))
    for name, spelled in (("scheme", "cosign.sigstore.dev/attestation/vuln/v1"), ("slash", COSIGN_VULN + "/"), ("case", COSIGN_VULN.upper())):
        one(f"scan-spelled-{name}", "one type, however it is spelled", deny("VULNERABLE"), strict, scanned(scan(finished=older)), scanned(scan("CRITICAL"), spelled, id="s2"))
    grype = {"scanner": {"result": {"matches": [{"vulnerability": {"id": "GHSA-jfh8-c2jp-5v3q", "severity": "Low"}, "relatedVulnerabilities": [{"id": "CVE-2021-44228"}]}]}},
             "metadata": {"scanFinishedOn": "2026-11-24T00:00:00Z"}}
    one("scan-blocked-cve-by-another-name", "blockedCves: what the scanner calls otherwise", deny("VULNERABLE"), vulnerable("ALLOW_ALL", "ALLOW_ALL", blockedCves=["cve-2021-44228"]), scanned(grype))
    many = scanned(scan())
    many["envelope"]["signatures"] = [{**many["envelope"]["signatures"][0], "keyid": f"x{at}"} for at in range(300)]
    one("scan-under-many-ids", "one signature under 300 ids is one", good, strict, many)
    one("scan-beside-later-provenance", "a statement of another kind that cannot be read is no scan", good, strict, scanned(scan()), scanned({}, "https://slsa.dev/provenance/v9", id="s2"))
    one("simple-signing-is-no-statement", "simple signing asks for simple-signing payloads", fails("WRONG_PAYLOAD", "SimpleSigningAttestationCheck"), signed_by(ours),
        dsse(envelope(statement(V1, provenance_v1()))))

    # How it is enforced, and beside a policy
    failing, open_policy, closed = check_set(NEVER), {"defaultAdmissionRule": ALWAYS_ALLOW}, {"defaultAdmissionRule": ALWAYS_DENY}
    told = [{"type": "TrustedDirectoryCheck", "verdict": "NON_CONFORMANT"}]
    away = check_set(dirs("gcr.io/q"))
    add("enforced", "AUDIT_AND_ENFORCE", deny("UNTRUSTED_DIRECTORY", checks=told), platform(away), policy=open_policy)
    add("dry-run", "AUDIT_AND_DRYRUN: let through, and said so", dry("UNTRUSTED_DIRECTORY", checks=told), platform(away, mode="AUDIT_AND_DRYRUN"), policy=open_policy)
    add("audit", "AUDIT: recorded only", allow("ALWAYS_ALLOW", checks=told), platform(away, mode="AUDIT"), policy=open_policy)
    add("audit-is-default", "1.9: AUDIT is the default", allow("ALWAYS_ALLOW", checks=told), platform(away, mode=None), policy=open_policy)
    add("audit-alone", "AUDIT, and no other policy", allow("CONFORMANT", checks=told), platform(away, mode="AUDIT"), open=True)
    add("dry-run-alone", "AUDIT_AND_DRYRUN, and no other policy", dry("UNTRUSTED_DIRECTORY"), platform(away, mode="AUDIT_AND_DRYRUN"))
    add("conformant-beside-allow", "both allow", allow("ALWAYS_ALLOW"), platform(check_set(dirs("gcr.io/p/**"))), policy=open_policy)
    add("conformant-beside-deny", "a platform policy allows nothing that the policy refuses", deny("ALWAYS_DENY", rule="defaultAdmissionRule"), platform(check_set()), policy=closed)
    add("both-deny", "the policy's reason comes first", deny("ALWAYS_DENY"), platform(failing), policy=closed, open=True)
    add("policy-in-dry-run", "dry run of a rule does not soften the platform policy", deny("CHECK_ALWAYS_DENY"), platform(failing), policy={"defaultAdmissionRule": rule("ALWAYS_DENY", DRY_RUN)}, open=True)
    add("beside-pattern", "the platform policy applies also to what a pattern of the policy exempts", deny("CHECK_ALWAYS_DENY"), platform(failing), policy=refuse("gcr.io/**"))
    add("beside-system-policy", "and to what the system policy exempts", deny("CHECK_ALWAYS_DENY"), platform(failing), policy=closed | {"globalPolicyEvaluationMode": "ENABLE"},
        systemPolicy={"digests": [{"digest": D, "reason": "node agent"}]}, open=True)
    add("beside-deny-list", "the deny list is first", deny("DENY_LISTED"), platform(check_set()), denyList={"digests": [{"digest": D, "reason": "malware"}]})
    add("unknown-pod-audit", "AUDIT refuses nothing, known or not", allow("ALWAYS_ALLOW"), platform(check_set(NEVER, scope="shop"), check_set(), mode="AUDIT"), policy=open_policy, open=True)
    add("attested-and-conformant", "both ask the same evidence", allow("ATTESTED"), platform(check_set(slsa())), [built()], policy=require("builder"))

    # Refused
    default = check_set()
    refused = [
        ("default-missing", platform(check_set(scope="shop")), "the last set has no scope"), ("default-not-last", platform(default, check_set(scope="shop")), "the last set has no scope"),
        ("two-defaults", platform(default, default), "only one default"), ("scope-twice", platform(check_set(scope="shop"), check_set(scope="shop"), default), "one set per scope"),
        ("namespace-before-account", platform(check_set(scope="shop"), check_set(scope="shop:web"), default), "service accounts before their namespace"),
        ("bad-scope", platform(check_set(scope="Shop"), default), "a namespace"), ("two-scopes", platform({"scope": {"kubernetesNamespace": "a", "kubernetesServiceAccount": "a:b"}, "checks": []}, default), "one of two"),
        ("empty-scope", platform({"scope": {}, "checks": []}, default), "one of two"), ("always-deny-false", platform(check_set({"alwaysDeny": False})), "false is not allowed"),
        ("no-kind", platform(check_set({"displayName": "x"})), "exactly one kind"), ("two-kinds", platform(check_set(NEVER | dirs("gcr.io/p"))), "exactly one kind"),
        ("no-days", platform(check_set(fresh(0))), "maxUploadAgeDays > 0"), ("negative-days", platform(check_set(fresh(-1))), "maxUploadAgeDays > 0"), ("no-directories", platform(check_set(dirs())), "at least one"),
        ("no-authenticators", platform(check_set(signed_by())), "at least one"), ("eleven-projects", platform(check_set(signed_by(ours, projects=[f"projects/p{n}" for n in range(11)]))), "at most ten projects"),
        ("bad-key", platform(check_set(signed_by(keys_of(("p256", "ECDSA_P384_SHA384"))))), "3.3: algorithm and key must match"),
        ("fixable-missing", platform(check_set({"vulnerabilityCheck": {"maximumUnfixableSeverity": "LOW", "binauthdAttestors": [SCANNER]}})), "both are required"),
        ("unfixable-missing", platform(check_set({"vulnerabilityCheck": {"maximumFixableSeverity": "LOW", "binauthdAttestors": [SCANNER]}})), "both are required"),
        ("bad-severity", platform(check_set(vulnerable("SEVERE"))), "no such severity"), ("unspecified-severity", platform(check_set(vulnerable("MAXIMUM_ALLOWED_SEVERITY_UNSPECIFIED"))), "no such severity"),
        ("allowed-and-blocked", platform(check_set(vulnerable(allowedCves=["CVE-1-1"], blockedCves=["CVE-1-1"]))), "one id in both lists"),
        ("bad-scan-age", platform(check_set(vulnerable(maxScanAge="soon"))), "a duration"), ("bad-attestor", platform(check_set(vulnerable(names=["scanner"]))), "projects/P/attestors/A"),
        ("no-signers-slsa", platform(check_set(slsa(names=()))), "unsigned evidence counts for nothing: a signer is needed"), ("no-signers-scan", platform(check_set(vulnerable(names=()))), "unsigned evidence counts for nothing: a signer is needed"),
        ("no-signers-fresh", platform(check_set({"imageFreshnessCheck": {"maxUploadAgeDays": 30}})), "unsigned evidence counts for nothing: a signer is needed"),
        ("no-builder", platform(check_set(slsa(builder=False))), "a builder is needed"), ("unknown-builder", platform(check_set({"slsaCheck": {"rules": [{"trustedBuilder": "JENKINS", "trustedSourceRepoPatterns": ["a.example/b"]}], "binauthdAttestors": [BUILDER]}})), "GOOGLE_CLOUD_BUILD"),
        ("source-with-scheme", platform(check_set(slsa(sources=[REPO]))), "2.4: without scheme"), ("source-star-inside", platform(check_set(slsa(sources=["github.com/*/app"]))), "2.4: wildcards at the end"),
        ("unknown-field", platform(default, extra=1), "unknown fields"), ("unknown-field-in-set", platform({"checks": [], "x": 1}), "unknown fields"), ("unknown-mode", platform(default, mode="ENFORCE"), "no such mode"),
        ("empty-object", {}, "nothing to judge by"), ("cloud-run", {"cloudRunPolicy": {"allowlistPatterns": []}}, "not for nodes"), ("empty-text", "", "an empty file is no policy"),
        ("duplicate-key", "gkePolicy: {checkSets: []}\ngkePolicy: {checkSets: []}\n", "duplicate keys"),
        ("sigstore", platform(check_set({"sigstoreSignatureCheck": {"sigstoreAuthorities": []}})), "not judged here"),
        ("custom-constraints", platform(check_set({"slsaCheck": {"rules": [{"trustedBuilder": "GOOGLE_CLOUD_BUILD", "trustedSourceRepoPatterns": ["a.example/b"], "customConstraints": "true"}], "binauthdAttestors": [BUILDER]}})), "CEL is not judged here"),
    ]
    uncertain = {"no-builder", "empty-object", "allowed-and-blocked", "cloud-run", "sigstore", "custom-constraints", "no-signers-slsa", "no-signers-scan", "no-signers-fresh", "source-with-scheme", "source-star-inside"}
    for name, policy, why in refused:
        add(f"refused-{name}", f"1.10: {why}", unreadable(), policy, policy=open_policy, open=name in uncertain)
    add("yaml", "a platform policy as text", never, f"name: projects/p/platforms/gke/policies/base\nbinauthdEnforcementMode: AUDIT_AND_ENFORCE\ngkePolicy:\n  checkSets:\n  - displayName: Default\n    checks:\n    - displayName: never\n      alwaysDeny: true\n")
    add("snake-case", "1.3: proto3 JSON parsers accept both spellings", never, {"gke_policy": {"check_sets": [{"checks": [{"always_deny": True}]}]}, "binauthdEnforcementMode": "AUDIT_AND_ENFORCE"})
    return t
