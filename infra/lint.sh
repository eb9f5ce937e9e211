#!/usr/bin/env bash
# Lints template.yaml and checks it against the code's rules. Needs Python and pip; no AWS account, no Docker.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$(infra/tools.sh)

# No account is asked for anything: the region is a name that the tools want to have.
export AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true SAM_CLI_TELEMETRY=0
"$venv/bin/sam" validate --lint --template template.yaml
"$venv/bin/checkov" --skip-download --config-file infra/checkov.yaml --framework cloudformation --compact --quiet \
    --file template.yaml infra/alarms.yaml infra/archive.yaml infra/dashboard.yaml
"$venv/bin/python" infra/lint.py "$@"
