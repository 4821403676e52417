"""Allowlist patterns, dialect A."""

from .shapes import *

AT = "@" + D

# Name, pattern, image, whether it matches, where from (D documentation, K Kritis, I inferred).
ROWS = [
    ("star-tag", "gcr.io/my-project/nginx*", "gcr.io/my-project/nginx:latest", True, "D"),
    ("star-suffix", "gcr.io/my-project/nginx*", "gcr.io/my-project/nginx-1.14.2:latest", True, "I"),
    ("star-no-slash", "gcr.io/my-project/nginx*", "gcr.io/my-project/nginx-images/nginx", False, "D"),
    ("star-star-slash", "gcr.io/my-project/nginx**", "gcr.io/my-project/nginx-1.14.2/image:latest", True, "D"),
    ("star-star-other", "gcr.io/my-project/nginx**", "gcr.io/my-project/httpd:latest", False, "I"),
    ("no-separator-is-implied", "gcr.io/my-project**", "gcr.io/my-project-exploit/nginx-exploit", True, "D, Google warns of it"),
    ("no-separator-other", "gcr.io/my-project**", "gcr.io/my-projec/nginx", False, "I"),
    ("star-digest", "gcr.io/nginx*", "gcr.io/nginx" + AT, True, "I"),
    ("star-directory", "gcr.io/nginx*", "gcr.io/nginx/image", False, "D"),
    ("star-star-directory", "gcr.io/nginx**", "gcr.io/nginx/image", True, "D"),
    ("star-star-itself", "gcr.io/nginx**", "gcr.io/nginx", True, "I"),
    ("directory-star", "gcr.io/example-project/*", "gcr.io/example-project/helloworld:v1", True, "D"),
    ("directory-star-deeper", "gcr.io/example-project/*", "gcr.io/example-project/dir/helloworld:v1", False, "D"),
    ("directory-star-star", "gcr.io/example-project/**", "gcr.io/example-project/dir/helloworld:v1", True, "D"),
    ("directory-star-star-sibling", "gcr.io/example-project/**", "gcr.io/example-project2/x", False, "I"),
    ("exact", "gcr.io/example-project/helloworld", "gcr.io/example-project/helloworld", True, "D"),
    ("exact-not-latest", "gcr.io/example-project/helloworld", "gcr.io/example-project/helloworld:latest", False, "K"),
    ("exact-not-digest", "gcr.io/example-project/helloworld", "gcr.io/example-project/helloworld" + AT, False, "I"),
    ("tag-star", "gcr.io/example-project/helloworld:v1.*", "gcr.io/example-project/helloworld:v1.3", True, "D, K"),
    ("tag-star-other", "gcr.io/example-project/helloworld:v1.*", "gcr.io/example-project/helloworld:v2.3", False, "D, K"),
    ("tag-star-digest", "gcr.io/example-project/helloworld:v1.*", "gcr.io/example-project/helloworld:v1.3" + AT, True, "I"),
    ("tag-star-prefix-only", "gcr.io/example-project/helloworld:v1.*", "gcr.io/example-project/helloworld:v1", False, "I"),
    ("any-tag", "gcr.io/2-img:*", "gcr.io/2-img:any", True, "K"),
    ("any-tag-not-digest", "gcr.io/2-img:*", "gcr.io/2-img" + AT, False, "I"),
    ("any-digest", "gcr.io/example-project/helloworld@*", "gcr.io/example-project/helloworld" + AT, True, "I"),
    ("any-digest-not-tag", "gcr.io/example-project/helloworld@*", "gcr.io/example-project/helloworld:latest", False, "I"),
    ("any-sha256", "gcr.io/8-img@sha256:*", "gcr.io/8-img" + AT, True, "K"),
    ("any-sha256-not-tag", "gcr.io/8-img@sha256:*", "gcr.io/8-img:sha256", False, "I"),
    ("digest-with-tag", "gcr.io/p/helloworld" + AT, "gcr.io/p/helloworld:v1" + AT, False, "I"),
    ("digest-exact", "gcr.io/p/helloworld" + AT, "gcr.io/p/helloworld" + AT, True, "I"),
    ("digest-other", "gcr.io/p/helloworld" + AT, "gcr.io/p/helloworld@" + OTHER, False, "I"),
    ("registry-star", "gcr.io/*", "gcr.io/a", True, "I"),
    ("registry-star-deeper", "gcr.io/*", "gcr.io/a/b", False, "I"),
    ("registry-star-star", "gcr.io/**", "gcr.io/a/b:c", True, "D"),
    ("registry-star-star-other", "gcr.io/**", "k8s.gcr.io/pause:3.1", False, "I"),
    ("system-registry", "k8s.gcr.io/**", "k8s.gcr.io/pause:3.1", True, "D"),
    ("system-registry-other", "k8s.gcr.io/**", "gcr.io/a/b:c", False, "I"),
    ("local", "loc-ref", "loc-ref", True, "D"),
    ("local-other", "loc-ref", "loc-ref2", False, "I"),
    ("local-any-tag", "local-image-1:*", "local-image-1:any-tag", True, "K"),
    ("local-any-tag-not-a-port", "local-image-1:*", "local-image-1:5000/evil", False, "I"),
    ("case-of-the-pattern", "gcr.io/p/App", "gcr.io/p/app", False, "I: case-sensitive"),
    ("case-of-the-host", "GCR.io/p/**", "gcr.io/p/app", False, "I: case-sensitive"),
    ("port", "registry.example.com:5000/team/*", "registry.example.com:5000/team/app:1", True, "I"),
    ("port-missing", "registry.example.com/team/*", "registry.example.com:5000/team/app:1", False, "I"),
]

# Patterns on the names one text stands for: normalised and familiar, and with :latest where it has no tag.
SPELLINGS = [
    ("familiar-pattern-full-name", "nginx:1.27", "docker.io/library/nginx:1.27", True),
    ("full-pattern-familiar-name", "docker.io/library/nginx:1.27", "nginx:1.27", True),
    ("full-directory-familiar-name", "docker.io/library/*", "nginx", True),
    ("index-host", "docker.io/library/nginx", "index.docker.io/library/nginx", True),
    ("index-host-in-pattern", "index.docker.io/library/*", "nginx", False),
    ("hub-without-library", "docker.io/nginx", "nginx", False),
    ("hub-user", "bitnami/redis:7", "docker.io/bitnami/redis:7", True),
    ("hub-user-wildcard", "bitnami/*", "docker.io/bitnami/redis:7", True),
    ("untagged-as-latest", "nginx:latest", "nginx", True),
    ("untagged-as-latest-full", "docker.io/library/nginx:*", "nginx", True),
    ("untagged-elsewhere-as-latest", "gcr.io/p/app:latest", "gcr.io/p/app", True),
    ("latest-not-as-untagged", "nginx", "nginx:latest", False),
    ("digest-not-as-latest", "nginx:latest", "nginx" + AT, False),
    ("digest-familiar", "nginx@*", "docker.io/library/nginx" + AT, True),
    ("localhost-is-a-host", "localhost/app:v", "docker.io/localhost/app:v", False),
    ("host-is-no-hub-user", "gcr.io/**", "docker.io/gcr.io/a:1", False),
    ("local-pattern-other-registry", "loc-ref", "registry.example.com/loc-ref", False),
    ("scheme-is-taken-off", "registry.example.com/team/*", "https://registry.example.com/team/app:1", True),
]

INVALID = [
    ("middle-star", "gcr.io/n*x"), ("middle-star-star", "gcr.io/**/b"), ("three-stars", "gcr.io/a***"),
    ("star-alone", "*"), ("star-star-alone", "**"), ("star-in-the-registry", "gcr.i*"), ("registry-star-star", "gcr.io**"),
    ("empty", ""), ("space", "gcr.io/p /app"), ("newline", "gcr.io/p/app\n"), ("two-wildcards", "gcr.io/*/b*"),
    ("tag-star-star-without-registry", "mysql:**"), ("too-long", "gcr.io/" + "a" * 2000),
]


def topic():
    t = Topic("patterns-a")
    hit = allow("ALLOWLISTED", rule="admissionWhitelistPatterns[0]")
    miss = deny("ALWAYS_DENY", rule="defaultAdmissionRule")
    for name, pattern, image, matches, source in ROWS:
        t.add(f"pattern-{name}", f"2.1, {source}: {'matches' if matches else 'does not match'}", hit if matches else miss,
              refuse(pattern), subject=image)
    for name, pattern, image, matches in SPELLINGS:
        t.add(f"spelling-{name}", "2.1, our choice: patterns are tried on the normalised name and its familiar form",
              hit if matches else miss, refuse(pattern), subject=image)
    for name, pattern in INVALID:
        t.add(f"invalid-pattern-{name}", "2.1, last row: refused when the policy is read",
              unreadable("admissionWhitelistPatterns[0]"), refuse(pattern), subject="gcr.io/p/app")
    t.add("invalid-pattern-by-its-place", "the message names which of the patterns is wrong",
          unreadable("admissionWhitelistPatterns[1]"), refuse("gcr.io/a/*", "gcr.i*"), subject="gcr.io/p/app")
    t.add("pattern-latest-is-no-digest", "2.1, D: the documented image is no reference at all", undecided("DIGEST_UNSUPPORTED"),
          refuse("gcr.io/nginx*"), subject="gcr.io/nginx@latest", open=True)
    t.add("pattern-first-of-two", "the first pattern that matches is named", allow("ALLOWLISTED", rule="admissionWhitelistPatterns[1]"),
          refuse("gcr.io/a/*", "gcr.io/b/*", "gcr.io/**"), subject="gcr.io/b/x:1")
    t.add("pattern-text-not-resolved-digest", "patterns see the text, not what it resolved to",
          miss, refuse("gcr.io/p/app" + AT), subject={"image": "gcr.io/p/app:v1", "manifest": D})
    t.add("pattern-image-id-is-no-name", "an image id addresses a local image and is no name", miss,
          refuse("docker.io/library/**", "sha256:*"), subject={"image": D, "manifest": OTHER})
    t.add("pattern-exempts-from-attestation", "1.5, 3: an exempted image needs no attestation", hit,
          refuse("registry.example.com/team/*") | require(), [CI], subject="registry.example.com/team/app:v1")
    t.add("pattern-exempts-under-dry-run", "an exemption is an allowance, not a dry run", hit,
          refuse("registry.example.com/team/*") | {"defaultAdmissionRule": rule("ALWAYS_DENY", DRY_RUN)},
          subject="registry.example.com/team/app:v1")
    t.add("pattern-unknown-member", "1.3: unknown fields are refused", unreadable("unknown"),
          {"admissionWhitelistPatterns": [{"namePattern": "gcr.io/p/*", "comment": "x"}], "defaultAdmissionRule": ALWAYS_DENY},
          subject="gcr.io/p/app")
    t.add("pattern-as-text", "a pattern is an object with `namePattern`", unreadable(),
          {"admissionWhitelistPatterns": ["gcr.io/p/*"], "defaultAdmissionRule": ALWAYS_DENY}, subject="gcr.io/p/app")
    return t
