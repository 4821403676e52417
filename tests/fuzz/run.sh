#!/bin/bash
# Builds every fuzz target and runs each for FUZZ_SECONDS (300), or only those that are named.
#
#   tests/fuzz/run.sh [TARGET...]
#
# Any toolchain will do: what cargo-fuzz does to a build is done here by its flags. What a run finds that
# is new is kept in target/fuzz/corpus for the next, what fails in target/fuzz/failures.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

seconds=${FUZZ_SECONDS:-300}
folder=$PWD/target/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
programs=$folder/$host/release
flags='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares'
mkdir -p "$folder"

skip() {
  echo "fuzz: skipped: $1"
  exit 0
}
[[ $host == *-linux-gnu ]] || skip "libFuzzer is not built for $host here"
command -v c++ >/dev/null || command -v "${CXX:-g++}" >/dev/null || skip 'no C++ compiler, which libFuzzer needs'
# shellcheck disable=SC2086
echo 'pub fn f() {}' | rustc $flags --crate-type lib --emit obj -o "$folder/probe.o" - 2>/dev/null ||
  skip "$(rustc --version) cannot instrument"

start=$SECONDS
RUSTFLAGS=${flags//$'\n'/ } "${CARGO:-cargo}" build --quiet --locked --release --manifest-path tests/fuzz/Cargo.toml \
  --target "$host" --target-dir "$folder"
echo "fuzz: built in $((SECONDS - start)) s"

one() { # TARGET: a line of what became of it, or of how to see its failure again
  local corpus=$folder/corpus/$1 failures=$folder/failures/$1 log=$folder/$1.log start=$SECONDS
  mkdir -p "$corpus" "$failures"
  # A time for each input and a room for all: a parser that needs more has failed.
  if "$programs/$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$failures/" "$corpus" "tests/fuzz/seeds/$1" >"$log" 2>&1; then
    printf 'fuzz: %-16s %10s runs, coverage %5s, %4s s\n' "$1" \
      "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
      "$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -c6-)" $((SECONDS - start))
  else
    tail -n 40 "$log"
    echo "fuzz: $1 failed: see it again with"
    find "$failures" -type f -printf "  $programs/$1 %p\n"
    return 1
  fi
}
export -f one
export seconds folder programs
if [[ $# -eq 0 ]]; then
  mapfile -t targets < <(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' tests/fuzz/Cargo.toml)
  set -- "${targets[@]}"
fi
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'one {}'
