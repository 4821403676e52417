#!/bin/bash
# Checks the .rpm packages (root): rpmlint, the SELinux module, and what installing, upgrading and removing them leaves.
#
#   packaging/rpm/check.sh FOLDER
#
# They are installed in a copy of the root that tests/rig/install.sh makes (BINAUTHD_RIG_DIR, target/rig by default), which
# has systemd, is Debian's, and does not run: libraries are not asked for there by the names that Fedora gives them.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

if [[ ${1:-} != inside ]]; then
  # The copy's /proc goes with the mount namespace.
  exec unshare --mount -- "${BASH_SOURCE[0]}" inside "$(realpath -- "${1:?FOLDER is needed}")"
fi
packages=("$2"/binauthctl-*.rpm "$2"/binauthd-*.rpm)
if ((${#packages[@]} != 2)) || [[ ! -e ${packages[0]} || ! -e ${packages[1]} ]]; then
  echo "check.sh: \`$2\` does not hold one package of each" >&2
  exit 2
fi

work=$(mktemp -d)
root=$work/root
finish() {
  ! mountpoint --quiet "$root/proc" || umount "$root/proc"
  rm -rf --one-file-system -- "$work"
}
trap finish EXIT
fail() { echo "check.sh: $*" >&2; exit 1; }
query() { rpm --query --package --nosignature "$@"; }

rpmlint --rpmlintrc "$here/rpmlintrc" "${packages[@]}" >"$work/rpmlint" || { cat "$work/rpmlint"; fail "rpmlint finds errors"; }

## What they hold

for package in "${packages[@]}"; do
  files=$(query --list "$package")
  ! grep -E '^/(opt|etc)/(containerd|nri|cni)(/|$)' <<<"$files" || fail "$package: containerd reads that"
  while read -r mode owner path; do
    case $path in
      */bin/* | */sbin/* | */libexec/* | *.sh) expected=-rwxr-xr-x ;;
      *) expected=-rw-r--r-- ;;
    esac
    [[ $mode == "$expected" && $owner == root:root ]] || fail "$path: $mode $owner"
  done < <(query --queryformat '[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]' "$package")
  query --requires "$package" | grep -q '^libc\.so\.6(GLIBC_' || fail "$package asks for no version of the C library"
done
version=$(query --queryformat '%{VERSION}' "${packages[0]}")
query --requires "${packages[1]}" | grep -qx "binauthctl = $version" || fail "binauthd is not of one version with binauthctl"
edited=$(query --queryformat '[%{FILEFLAGS:fflags} %{FILENAMES}\n]' "${packages[1]}" | grep ' /etc/')
! grep -v '^cn ' <<<"$edited" || fail "an upgrade overwrites that"

## The SELinux module, and somebody who uses its interface

mkdir "$work/selinux"
cp -- "$here"/../selinux/* "$work/selinux/"
printf '%s\n' 'policy_module(caller, 1.0.0)' 'type caller_t;' 'domain_type(caller_t)' 'binauthd_stream_connect(caller_t)' \
  >"$work/selinux/caller.te"
make --directory "$work/selinux" --makefile /usr/share/selinux/devel/Makefile binauthd.pp caller.pp >"$work/make" 2>&1 ||
  { cat "$work/make"; fail "the SELinux module does not compile"; }

## What they leave

rig=${BINAUTHD_RIG_DIR:-$here/../../target/rig}
cp -a -- "$rig/root/node" "$root"
mount -t proc proc "$root/proc"
# Debian's rpm says at each call that it is not meant for this.
in_root() { rpm --root "$root" --nodeps --nosignature "$@" 2> >(grep -v -e Alien -e 'However assuming' >&2 || :); }
rpm --root "$root" --initdb
enabled() { [[ -L $root/etc/systemd/system/multi-user.target.wants/binauthd.service ]]; }
# Presets decide: Debian's, where nothing is said, enable.
in_root --install "${packages[@]}"
grep -q '^binauthd:' "$root/etc/group" || fail "there is no group"
[[ -d $root/etc/binauthd/attestors && $(stat --format %a "$root/var/lib/binauthd") == 700 ]] || fail "folders are missing"
enabled || fail "it is not enabled"
chroot "$root" binauthctl config check >/dev/null || fail "the shipped configuration is not in order"

echo '# mine' >>"$root/etc/binauthd/policy.yaml"
chroot "$root" systemctl disable binauthd.service binauthd.socket binauthd-admin.socket binauthd-canary.timer >/dev/null 2>&1
in_root --upgrade --replacepkgs --oldpackage "${packages[@]}"
grep -q '^# mine' "$root/etc/binauthd/policy.yaml" || fail "an upgrade overwrote the policy"
! enabled || fail "an upgrade enabled what was disabled"

in_root --erase binauthd binauthctl
left=$(cd "$root" && find . -xdev -iname '*binauth*' -not -path './var/lib/rpm/*' | sort | tr '\n' ' ')
[[ $left == './etc/binauthd ./var/lib/binauthd ' ]] || fail "left behind: $left"
[[ $(ls "$root/etc/binauthd") == policy.yaml.rpmsave ]] || fail "kept of the configuration: $(ls "$root/etc/binauthd")"
echo "the .rpm packages are in order"
