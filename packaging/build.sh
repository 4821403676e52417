#!/bin/bash
# Makes the packages of what has been built.
#
#   packaging/build.sh [--rpm] [--sbom] [--fast] [--target TRIPLE] FOLDER TO
#
#   FOLDER   holds binauthd, binauthctl and the gate programs, as `make build` leaves them, and binauth-store where that is
#            packaged too
#   TO       gets the packages, the bills of materials and SHA256SUMS
#   --rpm    .rpm beside .deb
#   --sbom   a bill of materials (CycloneDX) of each package
#   --fast   larger packages, sooner: for tests
#   --target what the programs are built for, where that is not this machine
#
# The tools come from tests/rig/install.sh --deb --rpm. The same files make the same packages, byte for byte: times are those
# of the last commit.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

rpm=
sbom=
fast=
target=
folders=()
while (($#)); do
  case $1 in
    --rpm) rpm=1 ;;
    --sbom) sbom=1 ;;
    --fast) fast=1 ;;
    --target) target=${2:?--target needs a triple, see --help}; shift ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) folders+=("$1") ;;
  esac
  shift
done
((${#folders[@]} == 2)) || { echo "build.sh: FOLDER and TO are needed, see --help" >&2; exit 2; }
from=$(realpath -- "${folders[0]}")
mkdir -p -- "${folders[1]}"
to=$(realpath -- "${folders[1]}")
programs=(binauthd binauthctl binauthd-image-verifier binauthd-create-hook binauthd-runc)
variants=(binauthd)
if [[ -e $from/binauth-store ]]; then
  programs+=(binauth-store)
  variants+=(binauth-store)
fi

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat --format %Y Cargo.toml)}
export SOURCE_DATE_EPOCH

# The tools look for programs in the `release` folder of a target folder, whatever they were built as.
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
built=$work${target:+/$target}/release
mkdir -p "$built"
for program in "${programs[@]}"; do
  cp -- "$from/$program" "$built/"
done
for_target=(${target:+--target "$target"})
strip=strip
[[ -z $target ]] || strip=${target/-unknown/}-strip
export CARGO_TARGET_DIR=$work

rm -f -- "$to"/binauth*.deb "$to"/binauth*.rpm "$to"/binauth*.json "$to"/SHA256SUMS
deb=(--quiet --locked --no-build "${for_target[@]}" --output "$to")
[[ -z $fast ]] || deb+=(--fast)
cargo deb "${deb[@]}" >/dev/null
for variant in "${variants[@]}"; do
  cargo deb "${deb[@]}" --variant "$variant" >/dev/null
done

if [[ -n $rpm ]]; then
  "$strip" --strip-unneeded -- "${programs[@]/#/$built/}"
  # cargo-deb compresses manual pages by itself.
  mkdir "$built/man"
  cp -- packaging/man/* "$built/man/"
  gzip -9n -- "$built"/man/*
  # The versions of the C library's symbols are asked for: where it is older, it is the installation that fails, not the start.
  # What is built in asks the loader, which knows this machine's programs alone.
  requires=builtin
  [[ -z $target ]] || requires=/usr/lib/rpm/find-requires
  options=(--source-date "$SOURCE_DATE_EPOCH" --auto-req "$requires" "${for_target[@]}")
  [[ -z $fast ]] || options+=(--payload-compress none)
  for variant in '' "${variants[@]}"; do
    name=${variant:-binauthctl}
    chosen=()
    [[ -z $variant ]] || chosen=(--variant "$variant")
    cargo generate-rpm "${options[@]}" "${chosen[@]}" --output "$work/$name.rpm"
    mv -- "$work/$name.rpm" "$to/$(rpm --query --package --nosignature --queryformat '%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm' "$work/$name.rpm")"
  done
fi

if [[ -n $sbom ]]; then
  # Of the one source that both are built from; the gate programs link three crates of it.
  bill=$(basename "$work")
  cargo cyclonedx --quiet --all-features --format json --spec-version 1.5 "${for_target[@]}" --override-filename "$bill"
  # Nobody needs to know where it was built.
  sed "s#path+file://$PWD##g; s#file://$PWD##g" "$bill.json" >"$work/sbom.json"
  rm -f -- "$bill.json"
  for name in binauthctl "${variants[@]}"; do
    # Each tells of its own programs, and of the library that they are made of.
    jq --arg name "$name" --arg time "$(date --utc --date "@$SOURCE_DATE_EPOCH" +%FT%TZ)" '
      .metadata.timestamp = $time
      | del(.serialNumber)
      | .metadata.component.name = $name
      | .metadata.component.components |= map(select(.type == "library" or (.name | test("^" + $name + "(-image-verifier|-create-hook|-runc)?$"))))
    ' "$work/sbom.json" >"$to/$name.cdx.json"
  done
fi

cd -- "$to"
sums=(*.deb)
[[ -z $rpm ]] || sums+=(*.rpm)
[[ -z $sbom ]] || sums+=(*.cdx.json)
sha256sum -- "${sums[@]}" >SHA256SUMS
ls -l
