#!/bin/bash
# Puts everything the test rig runs into one private folder (target/rig by default).
#
#   tests/rig/install.sh [--bench] [--browser] [--cargo-deny] [--clients] [--deb] [--postgres] [--rpm] [--cross TRIPLE]
#
#   --bench        also cosign and notation, which the benchmarks compare with
#   --browser      also a headless Chromium, installed with apt unless one is on PATH
#   --cargo-deny   also cargo-deny, built from the crate registry unless one is on PATH
#   --clients      also Google's clients of Container Analysis, in a Python environment of their own
#   --deb          also cargo-deb, built likewise, and lintian
#   --postgres     also PostgreSQL, unless one is installed, and the libraries that it needs
#   --rpm          also cargo-generate-rpm and cargo-cyclonedx, built likewise, rpm, rpmlint, jq and what compiles SELinux modules
#   --cross        also what builds for another machine: Rust's standard library of it, and Debian's C compiler
#
# Build tools (protoc, a C compiler, pkg-config), openssl, gpg, curl and SoftHSM are installed with apt when they are missing.
# Everything that runs as a service elsewhere (containerd, runc, docker-registry) is only
# unpacked into the folder, never installed: no unit, no maintainer script, nothing in /usr, and
# a containerd that this machine already has is not looked at.
#
# runc, docker-registry, busybox and promtool come from the suite this machine uses. containerd comes in
# three generations, each from the Debian suite that carries it: 2.1, which is the one in bin/, and 1.6
# and 1.7, which lie in root/containerd-1.6 and root/containerd-1.7. Suites that are not this machine's
# own are read from the same mirror, with source list, lists and cache of their own, and their
# signatures checked; only the expiry date of the release file is not, because a frozen mirror serves
# expired ones.
#
# Environment:
#   BINAUTHD_RIG_DIR         the folder
#   BINAUTHD_DEBIAN_MIRROR   base URI of a Debian archive, where the apt sources name none (Ubuntu)
#   BINAUTHD_DEBIAN_SUITE    suite that carries containerd 2.1 or newer (default forky)
#
# Nothing is downloaded when everything is there: a second run takes milliseconds.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
rig=${BINAUTHD_RIG_DIR:-$here/../../target/rig}
suite=${BINAUTHD_DEBIAN_SUITE:-forky}
# Suites to climb through when the newest one is signed by keys this machine does not know yet.
# Newest first.
key_suites=(trixie bookworm bullseye)

newer=(containerd)
cargo_tools=()
browser=
deb=
postgres=
clients=
rpm=
cross=
while (($#)); do
  case $1 in
    --bench) newer+=(cosign notation) ;;
    --browser) browser=1 ;;
    --clients) clients=1 ;;
    --cargo-deny) cargo_tools+=(cargo-deny) ;;
    --deb) cargo_tools+=(cargo-deb); deb=1 ;;
    --postgres) postgres=1 ;;
    --rpm) cargo_tools+=(cargo-generate-rpm cargo-cyclonedx); rpm=1 ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    --cross) cross=${2:?--cross needs a triple, see --help}; shift ;;
    *) echo "install.sh: unknown option \`$1\`, see --help" >&2; exit 2 ;;
  esac
  shift
done

say() { echo "rig: $*" >&2; }
die() { echo "rig: $*" >&2; exit 1; }

# The programs each package is fetched for.
declare -A programs=(
  [containerd]="usr/bin/containerd usr/bin/containerd-shim-runc-v2 usr/bin/ctr"
  [cosign]="usr/bin/cosign"
  [notation]="usr/bin/notation"
  [runc]="usr/sbin/runc usr/bin/runc"
  [docker-registry]="usr/bin/docker-registry"
  [busybox-static]="bin/busybox usr/bin/busybox"
  [prometheus]="usr/bin/promtool"
)

# Older generations of containerd, and the suite of each.
declare -A older=([1.6]=bookworm [1.7]=trixie)

present() { # PACKAGE: was it unpacked here before
  [[ -e $rig/have/$1 ]]
}

mkdir -p "$rig"
rig=$(cd -- "$rig" && pwd)
mkdir -p "$rig"/{bin,have,root,deb,apt}
# Several checkouts or test runs may share the folder.
exec 9>"$rig/lock"
flock 9

## Build tools

tools=()
command -v protoc >/dev/null || tools+=(protobuf-compiler)
command -v cc >/dev/null || tools+=(gcc)
command -v pkg-config >/dev/null || tools+=(pkg-config)
command -v make >/dev/null || tools+=(make)
command -v openssl >/dev/null || tools+=(openssl)
command -v softhsm2-util >/dev/null || tools+=(softhsm2)
command -v curl >/dev/null || tools+=(curl)
[[ -z $clients ]] || python3 -c 'import ensurepip' 2>/dev/null || tools+=(python3-venv)
[[ -z $postgres ]] || command -v chattr >/dev/null || tools+=(e2fsprogs)
command -v gpg >/dev/null && command -v gpgconf >/dev/null || tools+=(gnupg)
[[ -z $browser ]] || command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null ||
  tools+=(chromium-headless-shell)
[[ -z $deb ]] || command -v lintian >/dev/null || tools+=(lintian)
[[ -z $deb ]] || command -v dpkg-shlibdeps >/dev/null || tools+=(dpkg-dev)
[[ -z $rpm ]] || command -v rpm >/dev/null || tools+=(rpm)
[[ -z $rpm ]] || command -v rpmlint >/dev/null || tools+=(rpmlint)
[[ -z $rpm || -e /usr/share/selinux/devel/Makefile ]] || tools+=(selinux-policy-dev)
[[ -z $rpm ]] || command -v semodule_package >/dev/null || tools+=(semodule-utils)
[[ -z $rpm ]] || command -v jq >/dev/null || tools+=(jq)
if [[ -n $cross ]]; then
  # aarch64-unknown-linux-gnu is aarch64-linux-gnu to the compiler, and arm64 to Debian.
  machine=${cross/-unknown/}
  [[ $cross == aarch64-unknown-linux-gnu ]] || die "\`$cross\`: what it takes to build for it is not known; aarch64-unknown-linux-gnu is"
  command -v "$machine-gcc" >/dev/null || tools+=("gcc-$machine" libc6-dev-arm64-cross)
fi
[[ -e /usr/include/stdlib.h ]] || tools+=(libc6-dev)
[[ -e /etc/ssl/certs/ca-certificates.crt ]] || tools+=(ca-certificates)
# runc of the host's suite is linked to it.
compgen -G '/usr/lib/*/libseccomp.so.2' >/dev/null || tools+=(libseccomp2)

host_lists() { # the host's own package lists, fetched once where an image ships without them
  apt-cache show --no-all-versions runc >/dev/null 2>&1 && return
  [[ $EUID -eq 0 ]] || die "the package lists are empty; run \`apt-get update\` as root"
  say "fetching package lists"
  apt-get -q update >&2
}

if ((${#tools[@]})); then
  [[ $EUID -eq 0 ]] || die "missing packages: ${tools[*]}; install them, or run this as root"
  host_lists
  say "installing ${tools[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${tools[@]}" >&2
fi

if [[ -n $cross ]] && [[ ! -d $(rustc --print sysroot)/lib/rustlib/$cross ]]; then
  command -v rustup >/dev/null || die "Rust's standard library for $cross is missing, and there is no rustup to add it"
  rustup target add "$cross" >&2
fi

## Unpacking

fetch() { # NAME PACKAGE [apt options]: downloads a package and unpacks it in root/NAME
  local name=$1 package=$2
  shift 2
  rm -rf "${rig:?}/deb/$name" "${rig:?}/root/$name"
  mkdir -p "$rig/deb/$name"
  # apt reads and verifies as root, but would drop to its own user for the download.
  (cd "$rig/deb/$name" && apt-get -qq "$@" -o APT::Sandbox::User=root download "$package") >&2 ||
    die "package \`$package\` cannot be fetched"
  dpkg -x "$rig/deb/$name"/*.deb "$rig/root/$name"
  basename "$rig/deb/$name"/*.deb .deb >"$rig/have/$name"
  rm -rf "${rig:?}/deb/$name"
  say "unpacked $(<"$rig/have/$name")"
}

unpack() { # PACKAGE [apt options]: fetches it and links its programs in bin/
  local package=$1 program linked=
  fetch "$package" "$@"
  for program in ${programs[$package]:-}; do
    [[ -x $rig/root/$package/$program ]] || continue
    ln -sfn "../root/$package/$program" "$rig/bin/${program##*/}"
    linked=1
  done
  [[ -n ${programs[$package]:-} && -z $linked ]] || return 0
  rm -f "$rig/have/$package"
  die "package \`$package\` holds none of: ${programs[$package]}"
}

## The host's own suite

for package in runc docker-registry busybox-static prometheus; do
  present "$package" && continue
  host_lists
  unpack "$package"
done
if [[ -n $postgres ]] && ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && ! present postgresql; then
  host_lists
  server=$(apt-cache depends --no-recommends postgresql | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$/\1/p' | head -n 1)
  # Its compiler of queries is never used here, and is large.
  libraries=$(apt-cache depends --no-recommends "$server" libpq5 | sed -n 's/.*Depends: \(lib[^<]*\)$/\1/p' | grep -v '^libllvm' | sort -u)
  say "installing the libraries of $server"
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends $libraries >&2
  fetch postgresql "$server"
fi
# Of prometheus only promtool is run; the server is most of it.
rm -f "$rig/root/prometheus/usr/bin/prometheus"

host_has() { # GENERATION: whether this machine's own suite carries that containerd
  host_lists
  [[ $(apt-cache show --no-all-versions containerd 2>/dev/null) =~ (^|$'\n')'Version: '([0-9]+:)?"$1". ]]
}

for generation in "${!older[@]}"; do
  present "containerd-$generation" && continue
  host_has "$generation" && fetch "containerd-$generation" containerd
done

## Other suites

mirror() { # the Debian archive this machine uses, in whatever form its sources are written
  if [[ -n ${BINAUTHD_DEBIAN_MIRROR:-} ]]; then
    echo "${BINAUTHD_DEBIAN_MIRROR%/}"
    return
  fi
  host_lists
  local uri
  uri=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
    sed -n '/|cdrom:/d; s/^Debian|Debian|//p' | head -n 1)
  [[ -n $uri ]] || die "the apt sources name no Debian archive;" \
    "set BINAUTHD_DEBIAN_MIRROR to the base URI of one (it must carry the suite \`$suite\`)"
  echo "${uri%/}"
}

keyring= # set by choose_keyring
choose_keyring() {
  known_keyring && return
  host_lists # Ubuntu has the package, and its own archive vouches for it
  unpack debian-archive-keyring
  known_keyring || die "package \`debian-archive-keyring\` holds no keyring"
}

known_keyring() {
  local file
  for file in "$rig"/root/debian-archive-keyring/usr/share/keyrings/debian-archive-keyring.{gpg,pgp} \
    /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
    [[ -s $file ]] && keyring=$file && return
  done
  return 1
}

declare -a apt_options
suite_lists() { # SUITE: its package lists, verified; leaves apt_options for it
  local home=$rig/apt/$1
  mkdir -p "$home"/{lists/partial,cache/archives/partial,parts}
  : >"$home/status"
  printf '%s\n' 'Types: deb' "URIs: $from" "Suites: $1" 'Components: main' 'Targets: Packages' \
    "Signed-By: $keyring" >"$home/debian.sources"
  apt_options=(
    -o "Dir::Etc::sourcelist=$home/debian.sources" -o "Dir::Etc::sourceparts=$home/parts"
    -o "Dir::Etc::preferencesparts=$home/parts" -o Dir::Etc::preferences=/dev/null
    -o Dir::Etc::trusted=/dev/null -o "Dir::Etc::trustedparts=$home/parts"
    -o "Dir::State::lists=$home/lists" -o "Dir::State::status=$home/status" -o "Dir::Cache=$home/cache"
    -o APT::Architecture="$(dpkg --print-architecture)" -o APT::Architectures="$(dpkg --print-architecture)"
    -o APT::Sandbox::User=root
    -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false -o Acquire::AllowInsecureRepositories=false
  )
  apt-get -qq "${apt_options[@]}" -o APT::Update::Error-Mode=any update >"$home/log" 2>&1
}

lists() { # SUITE: its lists, through older suites where its keys are unknown
  local step
  suite_lists "$1" && return
  grep -Eq 'NO_PUBKEY|[Mm]issing key' "$rig/apt/$1/log" || die "suite \`$1\` cannot be read: $(<"$rig/apt/$1/log")"
  for step in "${key_suites[@]}"; do
    say "suite \`$1\` is signed by keys unknown here, looking for them in $step"
    suite_lists "$step" || continue
    unpack debian-archive-keyring "${apt_options[@]}"
    choose_keyring
    suite_lists "$1" && return
  done
  die "suite \`$1\` is signed by keys that no suite known here vouches for"
}

missing=()
for package in "${newer[@]}"; do
  present "$package" || missing+=("$package")
done
missing_older=()
for generation in "${!older[@]}"; do
  present "containerd-$generation" || missing_older+=("$generation")
done
if ((${#missing[@]} + ${#missing_older[@]})); then
  from=$(mirror)
  choose_keyring
fi
if ((${#missing[@]})); then
  lists "$suite"
  for package in "${missing[@]}"; do
    unpack "$package" "${apt_options[@]}"
  done
fi
for generation in "${missing_older[@]}"; do
  lists "${older[$generation]}"
  fetch "containerd-$generation" containerd "${apt_options[@]}"
done
## The root of a node that boots

node_packages=systemd,systemd-sysv,dbus,runc
if ! present node || [[ $(<"$rig/have/node") != "$node_packages" ]]; then
  [[ $EUID -eq 0 ]] || die "the root of a booted node is made by root"
  mmdebstrap_tools=()
  command -v mmdebstrap >/dev/null || mmdebstrap_tools+=(mmdebstrap)
  command -v systemd-nspawn >/dev/null || mmdebstrap_tools+=(systemd-container)
  if ((${#mmdebstrap_tools[@]})); then
    say "installing ${mmdebstrap_tools[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${mmdebstrap_tools[@]}" >&2
  fi
  from=${from:-$(mirror)}
  choose_keyring
  say "making the root of a node (half a minute, once)"
  rm -rf "${rig:?}/root/node"
  mmdebstrap --quiet --variant=minbase --include="$node_packages" --keyring="$keyring" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    bookworm "$rig/root/node" "$from" >&2
  rm -rf "$rig"/root/node/{var/cache/apt/archives,var/lib/apt/lists}/*
  # Empty: no first boot, which would enable whatever the distribution presets, and each boot is another machine's.
  : >"$rig/root/node/etc/machine-id"
  echo "$node_packages" >"$rig/have/node"
fi

rm -rf "${rig:?}/apt" # lists of a whole suite are large, and stale the next time

unfit() { # NAME MESSAGE: it is fetched anew the next time
  rm -f "$rig/have/$1"
  die "$2"
}

fit() { # NAME: whether this very package was found to run
  [[ -e $rig/have/$1.fit && $(<"$rig/have/$1.fit") == "$(<"$rig/have/$1")" ]]
}

for name in containerd "${!older[@]}"; do
  [[ $name == containerd ]] || name=containerd-$name
  fit "$name" && continue
  version=$("$rig/root/$name/usr/bin/containerd" --version) || unfit "$name" "$(<"$rig/have/$name") does not run here"
  case $name in
    containerd) wanted='(2\.[1-9]|2\.[1-9][0-9]|[3-9]\.)' ;;
    *) wanted="${name#containerd-}\\." ;;
  esac
  grep -Eq " v?$wanted" <<<"$version" || unfit "$name" "\`$name\` is not of its generation: $version"
  cp "$rig/have/$name" "$rig/have/$name.fit"
done
if ! fit runc; then
  "$rig/bin/runc" --version >/dev/null || unfit runc "runc of this machine's suite does not run"
  cp "$rig/have/runc" "$rig/have/runc.fit"
fi

## Google's clients

# From whichever index pip is set up for; what they are, the hashes say.
if [[ -n $clients && (! -e $rig/have/clients || $(<"$rig/have/clients") != "$(sha256sum <"$here/clients.txt")") ]]; then
  say "fetching Google's clients of Container Analysis"
  rm -rf "${rig:?}/clients"
  python3 -m venv "$rig/clients"
  "$rig/clients/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$here/clients.txt" >&2 ||
    die "Google's clients cannot be fetched"
  sha256sum <"$here/clients.txt" >"$rig/have/clients"
fi

## Cargo's own

declare -A versions=([cargo-deny]='^0.20' [cargo-deb]='^3.8' [cargo-generate-rpm]='^0.21' [cargo-cyclonedx]='^0.5')
declare -A flags=([cargo-deny]=--no-default-features)
# Hardly optimised, they build sooner; those that compress and hash megabytes are worth a little.
declare -A optimised=([cargo-deb]=1 [cargo-generate-rpm]=1)
for tool in "${cargo_tools[@]}"; do
  command -v "$tool" >/dev/null || [[ -x $rig/bin/$tool ]] && continue
  say "building $tool (a minute or two, once)"
  # shellcheck disable=SC2086 # no flags are no argument
  CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=${optimised[$tool]:-0} CARGO_INCREMENTAL=0 \
    cargo install --quiet --locked --debug ${flags[$tool]:-} --root "$rig" --target-dir "$rig/build" \
    --version "${versions[$tool]}" "$tool" >&2
  rm -rf "${rig:?}/build"
done
