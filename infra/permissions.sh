#!/usr/bin/env bash
# Drives the functions through all that they do, and holds the roles of template.yaml against what they asked for. Needs
# Rust, Python and pip; no AWS account, no Docker.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$(infra/tools.sh)
record="${CARGO_TARGET_DIR:-target}/tmp/permissions.jsonl"
rm -f "$record"
cargo test --locked --package replicante-tests --test permissions
"$venv/bin/python" infra/permissions.py "$record" "$@"
