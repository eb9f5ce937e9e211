#!/usr/bin/env bash
# Runs the end-to-end tests, those of the examples for consumers, and the commands of docs/cli.md (`elsewhere::`) on
# emulators that share no code with the embedded ones: moto for DynamoDB and SQS, kinesis-local for Kinesis. Arguments
# go to the tests: `tests/emulators/run.sh history::`.
#
# Needs Python with pip, Node.js with npm, and package registries; no Docker, no AWS account. What it installs and the
# logs of the emulators go into the target folder. The emulators end with this script, however it ends.
set -euo pipefail
cd "$(dirname "$0")/../.."

target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target/emulators"
home="$(cd "$target/emulators" && pwd)"

needs() {
    command -v "$1" >/dev/null || { echo "tests/emulators/run.sh needs $1: it is not on the PATH ($2)" >&2; exit 1; }
}

install_moto() {
    if ! cmp --silent tests/emulators/requirements.txt "$home/venv/requirements.txt"; then
        rm -rf "$home/venv"
        python3 -m venv "$home/venv"
        "$home/venv/bin/pip" install --quiet --disable-pip-version-check --requirement tests/emulators/requirements.txt
        cp tests/emulators/requirements.txt "$home/venv/requirements.txt"
    fi
}

install_kinesis() {
    if ! cmp --silent tests/emulators/package-lock.json "$home/node_modules/package-lock.json"; then
        cp tests/emulators/package.json tests/emulators/package-lock.json "$home"
        npm ci --prefix "$home" --ignore-scripts --no-audit --no-fund --loglevel=error
        cp tests/emulators/package-lock.json "$home/node_modules/package-lock.json"
    fi
}

# Each job is a process group of its own, so that what it started ends with it. No emulator holds anything that would
# be worth an orderly end.
set -m
jobs=""
stop() {
    for job in $jobs; do kill -KILL -- "-$job" 2>/dev/null || true; done
    wait 2>/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# start NAME COMMAND...: an emulator in the background, with a log of that name.
start() {
    local name=$1
    shift
    "$@" >"$home/$name.log" 2>&1 </dev/null &
    jobs="$jobs $!"
}

# answers URL LOG WORDS: waits until the emulator that was started last says in its log that it is at that address, answers
# there, and is still there a moment later: else it may be another's that answers. False when it ends, or does not within a
# minute.
answers() {
    local ask='import sys, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=2)'
    local end=$((SECONDS + 60))
    until grep --quiet --no-messages --fixed-strings "$3" "$2" && "$home/venv/bin/python" -c "$ask" "$1" 2>/dev/null; do
        if ! kill -0 "${jobs##* }" 2>/dev/null || ((SECONDS > end)); then return 1; fi
        sleep 0.1
    done
    # kinesis-local says it before it has the port, and ends at once when it does not get it.
    sleep 0.5
    kill -0 "${jobs##* }" 2>/dev/null
}

moto() {
    start "$1" "$home/venv/bin/moto_server" -H 127.0.0.1 -p "$2"
}

# It always listens with TLS too. Its log names requests only at DEBUG.
kinesis() {
    local package="$home/node_modules/kinesis-local"
    start "$1" env LOG_LEVEL=DEBUG KINESIS_MOCK_PLAIN_PORT="$2" KINESIS_MOCK_TLS_PORT="$3" \
        KINESIS_MOCK_CERT_PATH="$package/server.json" \
        node --require "$PWD/tests/emulators/loopback.js" "$package/main.js"
}

# emulator COMMAND NAME PATH WORDS: starts it on free ports, and leaves its address in `url` once it answers at PATH. Its log
# says where it is by WORDS and the port. A port may be taken between being chosen and being used: then others are chosen.
emulator() {
    local ports attempt log="$home/$2.log"
    for attempt in 1 2 3 4 5; do
        read -ra ports < <("$home/venv/bin/python" -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))')
        "$1" "$2" "${ports[@]}"
        url="http://127.0.0.1:${ports[0]}"
        if answers "$url$3" "$log" "$4${ports[0]}"; then return; fi
        if ((attempt == 5)) || ! grep --quiet 'Address already in use\|EADDRINUSE' "$log"; then break; fi
        echo "a port that was free is taken: others are chosen for the emulator of $2" >&2
        kill -KILL -- "-${jobs##* }" 2>/dev/null || true
        jobs="${jobs% *}"
    done
    echo "the emulator of $2 does not answer; it says:" >&2
    tail -n 20 "$log" >&2
    exit 1
}

# `--workspace` selects the features that the README's test command has built already. The tests that are skipped run
# on the embedded services wherever they are started.
run_tests() {
    cargo test --locked --workspace --test end_to_end -- --skip cost:: --skip restart:: --skip size:: "$@" 2>&1 \
        | tee "$home/tests.log"
    cargo test --locked --workspace --test consumers -- --include-ignored "$@" 2>&1 | tee "$home/consumers.log"
    # What the commands of docs/cli.md show here is left in tmp/cli-elsewhere.md of the target folder.
    if (($# == 0)) || [[ $* == *elsewhere::* ]]; then
        cargo test --locked --workspace --test binary -- elsewhere:: 2>&1 | tee "$home/binary.log"
    fi
}

# passed NAME: how many tests passed, by the log of that name.
passed() {
    local count
    count=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$home/$1.log" 2>/dev/null || true)
    echo "${count:-0}"
}

# seen NAME WORDS TESTS: fails when the emulator's log shows fewer requests than there were tests. That the tests say
# they passed is no proof that they ran here.
seen() {
    local count
    count=$(grep --count "$2" "$home/$1.log" || true)
    echo "the emulator of $1 saw $count requests"
    if ((count < $3)); then
        echo "$3 tests need more requests than that: they did not run on it" >&2
        exit 1
    fi
}

needs python3 "Python with pip, for moto"
needs node "Node.js, for kinesis-local"
needs npm "for installing kinesis-local"
install_moto
install_kinesis

emulator moto dynamodb /moto-api/data.json "Running on http://127.0.0.1:"
export REPLICANTE_TEST_AWS_ENDPOINT_URL_DYNAMODB="$url"
emulator moto sqs /moto-api/data.json "Running on http://127.0.0.1:"
export REPLICANTE_TEST_AWS_ENDPOINT_URL_SQS="$url"
emulator kinesis kinesis /healthcheck "Plain Mock Service on port "
export REPLICANTE_TEST_AWS_ENDPOINT_URL_KINESIS="$url"
# The example in Python needs boto3, which moto brought.
export REPLICANTE_TEST_PYTHON="$home/venv/bin/python"

# Of an earlier run, perhaps.
rm -f "$home"/{tests,consumers,binary}.log
run_tests "$@" &
jobs="$jobs $!"
wait $!

tests=$(passed tests)
consumers=$(passed consumers)
commands=$(passed binary)
if ((tests + consumers + commands == 0)); then
    echo "no test ran" >&2
    exit 1
fi
seen dynamodb '"[^"]*POST ' "$tests"
seen sqs '"[^"]*POST ' "$tests"
seen kinesis 'Received POST request' $((tests + consumers))
