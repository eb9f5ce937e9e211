#!/usr/bin/env bash
# Lints template.yaml and checks it against the code's rules. Needs Python and pip; no AWS account, no Docker.
set -euo pipefail
cd "$(dirname "$0")/.."

venv="${CARGO_TARGET_DIR:-target}/infra-venv"
if ! cmp --silent infra/requirements.txt "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement infra/requirements.txt
    cp infra/requirements.txt "$venv/requirements.txt"
fi

# No account is asked for anything: the region is a name that the tools want to have.
export AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true SAM_CLI_TELEMETRY=0
"$venv/bin/sam" validate --lint --template template.yaml
"$venv/bin/python" infra/lint.py "$@"
