#!/bin/bash
# Makes what an environment needs for signing: a key, a note, an attestor, and a policy that reports.
#
#   setup.sh PROJECT ENVIRONMENT [--to DIR] KEY [STORE]
#
#   PROJECT ENVIRONMENT    the attestor is projects/PROJECT/attestors/ENVIRONMENT-attestor, its note
#                          projects/PROJECT/notes/ENVIRONMENT-attestor
#   --to DIR               where attestors/ and policy.yaml go [.]; what is there already is kept
#   KEY, one of
#     --new-key FILE       a new EC P-256 key, written to FILE (PEM, mode 0600), which must not be there yet
#     --public-key FILE    the public key (PEM) of one that is there, such as on a token; --public-key-id ID names it
#     --kms LOCATION       a key of Google Cloud KMS, ENVIRONMENT-binauthz/attestor-key, made with gcloud where it is not
#                          there; --signer MEMBER may sign with it afterwards
#   STORE
#     --store URL          makes the note there (REST of Grafeas, v1). Container Analysis is
#                          https://containeranalysis.googleapis.com, where --signer MEMBER may attach attestations to it
#                          afterwards. The token is taken from BINAUTHCTL_STORE_TOKEN
#
# A second run changes nothing. BINAUTHCTL names the program [binauthctl].
set -euo pipefail

binauthctl=${BINAUTHCTL:-binauthctl}
google=https://containeranalysis.googleapis.com

say() { echo "setup: $*" >&2; }
die() {
  say "$*"
  exit 2
}

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
}

## What is asked for

names=()
to=.
new_key=
public_key=
public_key_id=
kms=
store=
signer=
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --to) to=${2:?"$1 needs a value"}; shift ;;
    --new-key) new_key=${2:?"$1 needs a value"}; shift ;;
    --public-key) public_key=${2:?"$1 needs a value"}; shift ;;
    --public-key-id) public_key_id=${2:?"$1 needs a value"}; shift ;;
    --kms) kms=${2:?"$1 needs a value"}; shift ;;
    --store) store=${2:?"$1 needs a value"}; store=${store%/}; shift ;;
    --signer) signer=${2:?"$1 needs a value"}; shift ;;
    -*) die "unknown option \`$1\`, see --help" ;;
    *) names+=("$1") ;;
  esac
  shift
done
((${#names[@]} == 2)) || die "PROJECT and ENVIRONMENT are missing, see --help"
project=${names[0]}
environment=${names[1]}
given=0
for key in "$new_key" "$public_key" "$kms"; do
  [[ -z $key ]] || given=$((given + 1))
done
((given == 1)) || die "one of --new-key, --public-key and --kms is needed, see --help"
[[ $environment =~ ^[a-z][a-z0-9-]*$ ]] || die "\`$environment\` is no name of an environment: letters, digits and dashes"
id=$environment-attestor
attestor=projects/$project/attestors/$id
command -v "$binauthctl" >/dev/null || die "\`$binauthctl\` is not there: install the package binauthctl, or set BINAUTHCTL"
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

## The key

if [[ -n $new_key ]]; then
  command -v openssl >/dev/null || die "openssl is needed for a new key"
  if [[ ! -e $new_key ]]; then
    (umask 077 && openssl ecparam -genkey -name prime256v1 -noout -out "$work/key.pem")
    # Never over another key, whatever happens meanwhile.
    ln -- "$work/key.pem" "$new_key" 2>/dev/null || (umask 077 && set -C && cat "$work/key.pem" >"$new_key")
    say "made the key \`$new_key\`: whoever reads it can sign, keep it where your pipeline keeps its secrets"
  fi
  public_key=$work/key.pub
  openssl pkey -in "$new_key" -pubout -out "$public_key" 2>/dev/null ||
    die "\`$new_key\` is there and is no private key"
elif [[ -n $kms ]]; then
  command -v gcloud >/dev/null || die "gcloud is needed for --kms"
  ring=$environment-binauthz
  of_key=(--project "$project" --location "$kms" --keyring "$ring")
  gcloud kms keyrings describe "$ring" --project "$project" --location "$kms" >/dev/null 2>&1 ||
    gcloud kms keyrings create "$ring" --project "$project" --location "$kms" >&2
  gcloud kms keys describe attestor-key "${of_key[@]}" >/dev/null 2>&1 ||
    gcloud kms keys create attestor-key "${of_key[@]}" --purpose asymmetric-signing \
      --default-algorithm ec-sign-p256-sha256 --protection-level software >&2
  public_key=$work/key.pub
  gcloud kms keys versions get-public-key 1 --key attestor-key "${of_key[@]}" --output-file "$public_key" >&2
  version=projects/$project/locations/$kms/keyRings/$ring/cryptoKeys/attestor-key/cryptoKeyVersions/1
  # The id that gcloud gives it too, so that attestors of Google's and these agree.
  public_key_id=//cloudkms.googleapis.com/v1/$version
  [[ -z $signer ]] || gcloud kms keys add-iam-policy-binding attestor-key "${of_key[@]}" \
    --member "$signer" --role roles/cloudkms.signerVerifier >&2
fi

## The note

post() { # URL: sends standard input there, says what came of it by the status code alone
  local header=()
  if [[ -n ${BINAUTHCTL_STORE_TOKEN:-} ]]; then
    # By a file: the list of processes shows what stands on a command line.
    (umask 077 && printf 'Authorization: Bearer %s\n' "$BINAUTHCTL_STORE_TOKEN" >"$work/header")
    header=(-H "@$work/header")
  fi
  curl --silent --show-error --output "$work/answer" --write-out '%{http_code}' --max-time 60 \
    -X POST -H 'Content-Type: application/json' "${header[@]}" --data-binary @- "$1"
}

if [[ -n $store ]]; then
  command -v curl >/dev/null || die "curl is needed for --store"
  code=$(post "$store/v1/projects/$project/notes?noteId=$id" <<JSON
{"name": "projects/$project/notes/$id", "attestation": {"hint": {"humanReadableName": "$id"}}}
JSON
  ) || die "\`$store\` does not answer"
  case $code in
    200 | 201) say "made the note projects/$project/notes/$id" ;;
    409) say "the note projects/$project/notes/$id is there already" ;;
    *) die "\`$store\` does not make the note projects/$project/notes/$id, it answers $code: $(head -c 500 "$work/answer")" ;;
  esac
  if [[ $store == "$google" && -n $signer ]]; then
    code=$(post "$store/v1/projects/$project/notes/$id:setIamPolicy" <<JSON
{"policy": {"bindings": [{"role": "roles/containeranalysis.notes.attacher", "members": ["$signer"]}]}}
JSON
    ) || die "\`$store\` does not answer"
    [[ $code == 200 ]] || die "$signer may not attach to the note: $code: $(head -c 500 "$work/answer")"
    say "$signer needs roles/containeranalysis.occurrences.editor on project $project too: gcloud projects add-iam-policy-binding"
  fi
fi

## The attestor and the policy

mkdir -p -- "$to/attestors"
if ! "$binauthctl" attestors describe "$attestor" --attestors "$to/attestors" >/dev/null 2>&1; then
  "$binauthctl" attestors create "$attestor" --attestation-authority-note "projects/$project/notes/$id" \
    --attestors "$to/attestors" >&2
fi
add=(attestors public-keys add --attestor "$attestor" --pkix-public-key-file "$public_key" --attestors "$to/attestors")
[[ -z $public_key_id ]] || add+=(--public-key-id-override "$public_key_id")
"$binauthctl" "${add[@]}" >&2

if [[ ! -e $to/policy.yaml ]]; then
  cat >"$to/policy.yaml" <<YAML
# Refuses nothing and reports what $id has not attested. When the reports are empty, put
# ENFORCED_BLOCK_AND_AUDIT_LOG in the place of DRYRUN_AUDIT_LOG_ONLY.
name: projects/$project/policy
defaultAdmissionRule:
  evaluationMode: REQUIRE_ATTESTATION
  enforcementMode: DRYRUN_AUDIT_LOG_ONLY
  requireAttestationsBy:
  - $attestor
YAML
fi
"$binauthctl" policy check "$to/policy.yaml" --attestors "$to/attestors" >&2
say "done: copy \`$to/attestors\` and \`$to/policy.yaml\` to /etc/binauthd on the nodes, and sign with sign-image.sh"
