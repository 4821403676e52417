#!/bin/bash
# Signs the digest of an image and files the attestation, once; then checks that it counts.
#
#   sign-image.sh PROJECT ENVIRONMENT IMAGE [--attestors DIR] [STORE] KEY
#   sign-image.sh --attestor NAME IMAGE [--attestors DIR] [STORE] KEY
#
#   PROJECT ENVIRONMENT    as setup.sh was told: the attestor is projects/PROJECT/attestors/ENVIRONMENT-attestor
#   IMAGE                  REPOSITORY@sha256:DIGITS, what the build has just pushed. A tag is resolved where the
#                          registry is asked by skopeo, crane, docker buildx or gcloud, whichever is there; between push
#                          and that question somebody may move it, so hand the digest over where the build knows it
#   --attestor NAME        another attestor: projects/P/attestors/A
#   --attestors DIR        the folder of attestor documents [attestors]
#   STORE                  --store URL, such as https://containeranalysis.googleapis.com, or --occurrences DIR
#   KEY                    --private-key-file FILE, --pkcs11-key URI, --keyversion NAME, or --kms LOCATION for the key that
#                          setup.sh has made there; all other flags are those of
#                          `binauthctl attestations sign-and-create`, see its --help
#
# Secrets come by the environment or by files, never by flags: BINAUTHCTL_STORE_TOKEN, BINAUTHCTL_KMS_TOKEN,
# BINAUTHCTL_PKCS11_PIN. BINAUTHCTL names the program [binauthctl].
# Prints the image with its digest on standard output, and nothing else there.
set -euo pipefail

binauthctl=${BINAUTHCTL:-binauthctl}

die() {
  echo "sign-image: $*" >&2
  exit 2
}

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
}

## What is asked for

names=()
attestor=
attestors=attestors
kms=
place=() # where attestations are filed
rest=()  # what sign-and-create is told besides
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --attestor) attestor=${2:?"$1 needs a value"}; shift ;;
    --attestors) attestors=${2:?"$1 needs a value"}; shift ;;
    --kms) kms=${2:?"$1 needs a value"}; shift ;;
    --store | --store-ca | --store-token-file | --occurrences)
      place+=("$1" "${2:?"$1 needs a value"}"); shift ;;
    --store-metadata-server) place+=("$1") ;;
    --kms-metadata-server | --pae-encode-payload) rest+=("$1") ;;
    --*=*) rest+=("$1") ;;
    --*) rest+=("$1" "${2:?"$1 needs a value"}"); shift ;;
    *) names+=("$1") ;;
  esac
  shift
done
case ${#names[@]} in
  1) [[ -n $attestor ]] || die "whose attestation is it? give PROJECT ENVIRONMENT IMAGE, or --attestor, see --help" ;;
  3) [[ -z $attestor ]] || die "--attestor stands in the place of PROJECT and ENVIRONMENT"
    attestor=projects/${names[0]}/attestors/${names[1]}-attestor ;;
  *) die "PROJECT ENVIRONMENT IMAGE are needed, see --help" ;;
esac
image=${names[-1]}
if [[ -n $kms ]]; then
  ((${#names[@]} == 3)) || die "--kms needs PROJECT and ENVIRONMENT: give --keyversion with the name in full"
  rest+=(--keyversion "projects/${names[0]}/locations/$kms/keyRings/${names[1]}-binauthz/cryptoKeys/attestor-key/cryptoKeyVersions/1")
fi
command -v "$binauthctl" >/dev/null || die "\`$binauthctl\` is not there: install the package binauthctl, or set BINAUTHCTL"

## The digest

resolve() { # IMAGE: its digest, by whichever tool is there
  if command -v skopeo >/dev/null; then
    skopeo inspect --no-tags --format '{{.Digest}}' "docker://$1"
  elif command -v crane >/dev/null; then
    crane digest "$1"
  elif command -v docker >/dev/null && docker buildx version >/dev/null 2>&1; then
    docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1"
  elif command -v gcloud >/dev/null; then
    gcloud artifacts docker images describe "$1" --format='get(image_summary.digest)'
  else
    die "\`$1\` has no digest, and there is none of skopeo, crane, docker buildx and gcloud to ask for it"
  fi
}

if [[ $image != *@sha256:* ]]; then
  digest=$(resolve "$image") || die "the digest of \`$image\` cannot be found"
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || die "the digest of \`$image\` is \`$digest\`, which is none"
  # A colon behind the last slash is that of the tag; before it that of a port.
  name=${image##*/}
  image=${image%"$name"}${name%%:*}@$digest
fi

## Signing

"$binauthctl" attestations sign-and-create --artifact-url "$image" --attestor "$attestor" --attestors "$attestors" \
  "${place[@]}" "${rest[@]}" >&2
"$binauthctl" attestations verify --artifact-url "$image" --attestor "$attestor" --attestors "$attestors" \
  "${place[@]}" >&2
echo "$image"
