#!/usr/bin/env bash
# Installs what the checks of this folder need below the target folder, once, and says where.
set -euo pipefail
cd "$(dirname "$0")/.."

venv="${CARGO_TARGET_DIR:-target}/infra-venv"
if ! cmp --silent infra/requirements.txt "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement infra/requirements.txt >&2
    cp infra/requirements.txt "$venv/requirements.txt"
fi
echo "$venv"
