#!/usr/bin/env bash
# Fuzzes each target for some seconds, 180 unless said, one after the other, and prints a line for each:
#
#   fuzz/run.sh [SECONDS [TARGET...]]
#
# Needs cargo-fuzz (`cargo install cargo-fuzz --locked`) and a C++ compiler. No nightly toolchain: RUSTC_BOOTSTRAP lets
# the stable one take the flags. An input that breaks a promise lies in fuzz/artifacts/TARGET then, and
# `RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none TARGET FILE` repeats it.
set -euo pipefail
cd "$(dirname "$0")"

export RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
seconds=${1:-180}
shift || true
mapfile -t targets < <(if (($#)); then printf '%s\n' "$@"; else cargo fuzz list; fi)

./seeds.sh
# The versions of everything are the project's.
cp ../Cargo.lock Cargo.lock
cargo fuzz build --sanitizer none

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=0
printf '%-18s %12s %9s %10s %8s\n' target executions seconds coverage crashes
for target in "${targets[@]}"; do
    log="$logs/$target" before=0 after=0
    mkdir -p "artifacts/$target"
    before=$(find "artifacts/$target" -type f | wc -l)
    # 20 s for one input is an endless loop; the memory is what the largest body that is read may take, and some.
    cargo fuzz run --sanitizer none "$target" -- "-max_total_time=$seconds" -timeout=20 -rss_limit_mb=3072 \
        -max_len=8192 -print_final_stats=1 >"$log" 2>&1 || true
    after=$(find "artifacts/$target" -type f | wc -l)
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -oE 'cov: [0-9]+' "$log" | tail -1 | cut -d' ' -f2)
    lasted=$(sed -nE 's/^Done [0-9]+ runs in ([0-9]+) second.*/\1/p' "$log")
    printf '%-18s %12s %9s %10s %8s\n' "$target" "${executions:-?}" "${lasted:-?}" "${coverage:-?}" $((after - before))
    if ((after > before)) || [[ -z $lasted ]]; then
        failed=1
        tail -n 40 "$log" >&2
    fi
done
exit "$failed"
