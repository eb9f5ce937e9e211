#!/usr/bin/env bash
# Drives the functions through all that they do, and holds the roles of template.yaml against what they asked for. Needs
# Rust, Python and pip; no AWS account, no Docker.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$(infra/tools.sh)
record="${CARGO_TARGET_DIR:-target}/tmp/permissions.jsonl"
rm -f "$record"
# `--workspace` selects the features that other tests have built already.
cargo test --locked --workspace --test permissions
# No account is asked for anything: the region is a name that the transform wants to have.
export AWS_DEFAULT_REGION=us-east-1
"$venv/bin/python" infra/permissions.py "$record" "$@"
