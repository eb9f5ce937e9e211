#!/usr/bin/env bash
# Brings LocalStack up with what template.yaml creates, checks that it is what the template says, runs the acceptance
# history on it, and takes it down again. `--help` says more.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'TEXT'
Usage: localstack/run.sh [--docker | --host] [--all] [--keep] [FILTER...]

  --docker  LocalStack 4.14.0 in Docker (localstack/docker-compose.yaml)
  --host    LocalStack 4.13.1 without Docker: no Lambda, and the embedded DynamoDB for its own
            Neither: Docker where an engine answers, else the host
  --all     all end-to-end tests; else the scripted history, queues, duplicates, and the running system on
            what was deployed
  --keep    leave LocalStack running after the tests, until Ctrl-C
  FILTER    these end-to-end tests alone: history::

Exit codes: 0 all passed, 1 something failed, 2 wrong usage, 75 an outside package could not be installed.
Needs Rust and Python with pip; --host also Node.js with npm. What is installed goes into the target folder.
TEXT
}

mode="" keep="" filters=()
while (($#)); do
    case "$1" in
    --docker | --host) mode="${1#--}" ;;
    --all) filters+=(::) ;;
    --keep) keep=1 ;;
    -h | --help) usage && exit ;;
    -*) usage >&2 && exit 2 ;;
    *) filters+=("$1") ;;
    esac
    shift
done
if ((${#filters[@]} == 0)); then
    filters=(history:: queues:: duplicates:: running::)
fi

target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target/localstack"
home="$(cd "$target/localstack" && pwd)"
compose=(docker compose --file localstack/docker-compose.yaml)

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
fail() {
    echo "localstack/run.sh: $*" >&2
    exit 1
}
needs() { command -v "$1" >/dev/null || fail "needs $1: it is not on the PATH ($2)"; }

# Each job is a process group of its own, so that what it started ends with it.
set -m
jobs=""
composed=""
stop() {
    # What ends here ends as it should: bash need not tell.
    exec 2>/dev/null
    trap '' INT TERM HUP
    for job in $jobs; do kill -TERM -- "-$job" 2>/dev/null || true; done
    for _ in {1..50}; do
        running=""
        for job in $jobs; do if kill -0 -- "-$job" 2>/dev/null; then running=1; fi; done
        [[ -n "$running" ]] || break
        sleep 0.1
    done
    for job in $jobs; do kill -KILL -- "-$job" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if [[ -n "$composed" ]]; then "${compose[@]}" down --volumes --timeout 5 >>"$home/compose.log" 2>&1 || true; fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# job COMMAND...: runs in a group of its own, and is waited for, so that a signal is answered at once.
job() {
    "$@" </dev/null &
    jobs="$jobs $!"
    wait $!
}

# venv NAME REQUIREMENTS [OPTION]
venv() {
    local folder="$target/$1"
    if ! cmp --silent "$2" "$folder/requirements.txt"; then
        rm -rf "$folder"
        python3 -m venv "$folder" || return 1
        "$folder/bin/pip" install --quiet --disable-pip-version-check "${@:3}" --requirement "$2" || return 1
        cp "$2" "$folder/requirements.txt"
    fi
}

# The Kinesis that LocalStack would install by itself, where it looks for it.
kinesis_version=$(sed -n 's/.*"kinesis-local": "\(.*\)".*/\1/p' tests/emulators/package.json)
kinesis="$home/root/var/lib/localstack/lib/kinesis-local/$kinesis_version"
install_kinesis() {
    if ! cmp --silent tests/emulators/package-lock.json "$kinesis/node_modules/package-lock.json"; then
        mkdir -p "$kinesis"
        cp tests/emulators/package.json tests/emulators/package-lock.json "$kinesis"
        npm ci --prefix "$kinesis" --ignore-scripts --no-audit --no-fund --loglevel=error || return 1
        cp tests/emulators/package-lock.json "$kinesis/node_modules/package-lock.json"
    fi
}

# Packages of others. What fails here is not ours.
install() {
    job venv infra-venv infra/requirements.txt || return 1
    if [[ $mode == host ]]; then
        job venv localstack/venv localstack/requirements.txt --no-deps && job install_kinesis
    fi
}

start_dynamodb() {
    local binary="$target/debug/embedded-dynamodb"
    [[ -x "$binary" ]] || fail "$binary was not built"
    "$binary" >"$home/dynamodb.log" 2>&1 </dev/null &
    jobs="$jobs $!"
    for _ in {1..100}; do
        dynamodb=$(head -n 1 "$home/dynamodb.log")
        [[ -z "$dynamodb" ]] || return 0
        sleep 0.1
    done
    fail "the embedded DynamoDB does not start: $(cat "$home/dynamodb.log")"
}

start_host() {
    start_dynamodb
    port=$("$target/localstack/venv/bin/python" -c '
import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
    rm -rf "$home/root/tmp" "$home/root/etc"
    mkdir -p "$home/root/etc/localstack/init"
    ln -s "$PWD/localstack/ready.d" "$home/root/etc/localstack/init/ready.d"
    # Its folders are below FILESYSTEM_ROOT only where it does not take itself to be in its image.
    env FILESYSTEM_ROOT="$home/root" OVERRIDE_IN_DOCKER=0 \
        GATEWAY_LISTEN="127.0.0.1:$port" LOCALSTACK_HOST="127.0.0.1:$port" SQS_ENDPOINT_STRATEGY=off \
        SERVICES=cloudformation,dynamodb,events,kinesis,kms,sqs,sts \
        DYNAMODB_LOCAL_PORT="$dynamodb" KINESIS_MOCK_VERSION="$kinesis_version" \
        NODE_OPTIONS="--require \"$PWD/tests/emulators/loopback.js\"" \
        DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 DNS_ADDRESS=0 \
        REPLICANTE_ENDPOINT="http://127.0.0.1:$port" REPLICANTE_LOCALSTACK="$PWD/localstack" \
        REPLICANTE_TEMPLATE="$PWD/template.yaml" PYTHONDONTWRITEBYTECODE=1 \
        "$target/localstack/venv/bin/python" localstack/host.py >"$home/localstack.log" 2>&1 </dev/null &
    jobs="$jobs $!"
    local ask='import sys, urllib.request as u; print(u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=5).read().decode())'
    local end=$((SECONDS + 120)) ready=""
    until [[ "$ready" == *'"completed": true'* ]]; do
        if ! kill -0 "${jobs##* }" 2>/dev/null || ((SECONDS > end)); then
            tail -n 20 "$home/localstack.log" >&2
            fail "LocalStack does not get ready"
        fi
        sleep 0.5
        ready=$("$target/localstack/venv/bin/python" -c "$ask" "http://127.0.0.1:$port/_localstack/init/ready" 2>/dev/null || true)
    done
    [[ "$ready" == *SUCCESSFUL* && "$ready" != *ERROR* ]] || {
        grep -E 'ERROR|CREATE_FAILED' "$home/localstack.log" | tail -n 20 >&2
        fail "the hook failed: $home/localstack.log"
    }
}

start_docker() {
    port="${REPLICANTE_LOCALSTACK_PORT:-4566}"
    composed=1
    job "${compose[@]}" up --detach --wait --wait-timeout 300 || {
        "${compose[@]}" logs --tail 20 >&2
        fail "LocalStack does not get ready, or its hook failed"
    }
}

logs() {
    if [[ $mode == host ]]; then cat "$home/localstack.log"; else "${compose[@]}" logs --no-color; fi
}

# seen SERVICE: how many requests LocalStack has seen so far.
seen() { logs | grep --count "AWS $1\.[A-Za-z]* => 2" || true; }

if [[ -z $mode ]]; then
    if command -v docker >/dev/null && docker info >/dev/null 2>&1; then mode=docker; else mode=host; fi
    say "mode: $mode"
fi
needs cargo "Rust"
needs python3 "Python with pip"
if [[ $mode == host ]]; then
    needs node "Node.js, for kinesis-local"
    needs npm "for installing kinesis-local"
else
    needs docker "Docker with compose, or give --host"
fi

say "installing"
if ! install; then
    echo "localstack/run.sh: outside packages do not install" >&2
    exit 75
fi

# As tests/emulators/run.sh: these are the features that the README's test command has built already.
say "building the tests"
job cargo test --locked --workspace --test end_to_end --no-run

say "starting LocalStack"
"start_$mode"
say "LocalStack is ready on http://127.0.0.1:$port"

export AWS_ENDPOINT_URL="http://127.0.0.1:$port" AWS_EC2_METADATA_DISABLED=true
check() { job "$target/infra-venv/bin/python" localstack/check.py "$@"; }
check --environment "$home/environment.sh" --self-test || fail "LocalStack has something else than the template"

declare -A before
for service in dynamodb sqs kinesis; do before[$service]=$(seen $service); done

say "running the tests"
tests() (
    unset AWS_ENDPOINT_URL
    # shellcheck source=/dev/null
    source "$home/environment.sh"
    export REPLICANTE_TEST_AWS_ENDPOINT_URL="http://127.0.0.1:$port"
    cargo test --locked --workspace --test end_to_end -- --include-ignored --skip cost:: --skip restart:: \
        --skip size:: "${filters[@]}" 2>&1 | tee "$home/tests.log"
)
job tests || fail "tests failed"

count=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$home/tests.log")
((${count:-0} > 0)) || fail "no test ran"
for service in dynamodb sqs kinesis; do
    requests=$(($(seen $service) - ${before[$service]}))
    echo "LocalStack saw $requests requests to $service"
    # That the tests say they passed is no proof that they ran here.
    ((requests >= count)) || fail "$count tests need more requests than that: they did not run on it"
done

say "waiting for the schedules"
used=(--used)
grep -q '^test running::what_was_deployed.* ok$' "$home/tests.log" || used=()
check --ticks 90 "${used[@]}" || fail "the schedules did not fire, or nothing was done on what was deployed"

if [[ -n $keep ]]; then
    say "LocalStack goes on, until Ctrl-C. For another terminal:"
    cat "$home/environment.sh"
    for service in DYNAMODB SQS KINESIS; do echo "export AWS_ENDPOINT_URL_$service=http://127.0.0.1:$port"; done
    echo "export AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"
    job sleep infinity
fi
say "all passed on LocalStack, $mode mode: $count tests"
