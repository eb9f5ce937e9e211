#!/usr/bin/env bash
# Puts what the fuzzers begin with into fuzz/corpus: recordings, examples and golden files of this repository. Behind a
# zero byte a fuzzer's bytes are choices of what is wrong with a valid document; any text will do for these.
set -euo pipefail
cd "$(dirname "$0")"

seed() {
    local target=$1 file
    shift
    mkdir -p "corpus/$target"
    for file in "$@"; do
        cp "$file" "corpus/$target/seed-$(cksum <"$file" | cut -d' ' -f1)"
    done
}

choices() {
    local target number
    for target in "$@"; do
        mkdir -p "corpus/$target"
        for number in 1 2 3 4 5 6 7 8; do
            { printf '\0'; head -c "$((number * 700 + 119))" ../LICENSE | tail -c 120; } >"corpus/$target/choices-$number"
        done
    done
}

seed agent_answer ../tests/recorded/v1/*/*.json ../tests/recorded/v2/*/*.json
seed discovery_answer ../examples/clusters.json
printf '[{"targets": ["a:1", "b:2"], "labels": {"cluster": "orders"}}]' >corpus/discovery_answer/groups
printf 'clusters:\n- &c {cluster_id: a, nodes: [http://a:1]}\n- *c\n- {cluster_id: b, nodes: [x]}\n' >corpus/discovery_answer/yaml
seed objects ../examples/*.yaml
seed stream_event ../shared/model/tests/golden/events/*.json
mkdir -p corpus/task_message corpus/stored_body corpus/stored_record
printf '{"kind":"cluster","namespace":"default","id":"orders","stamp":5,"cause":"schedule"}' >corpus/task_message/scheduled
printf '{"kind":"discovery","namespace":"default","id":"fleet","cause":"manual","actor":"ann"}' >corpus/task_message/manual
for target in stored_body stored_record; do
    printf '{"first":41,"events":2,"items":1}\n{"a":1}\n{"b":2}\n{"c":3}' >"corpus/$target/outbox"
    printf '{"clusters":{"a":{"record":{"cluster_id":"a","nodes":{}},"missing_answers":1}},"generation":1}' >"corpus/$target/discovery"
    printf '{"view":null,"counters":{},"readings":{},"snapshots":{"commits":3,"last":5},"last_event":5}' >"corpus/$target/cluster"
    printf '\x28\xb5\x2f\xfd\x04\x00\x11\x00\x00{}\x03\x41\x8a\x6c' >"corpus/$target/frame"
done
choices agent_answer discovery_answer discovery_pages objects task_message stored_body stored_record stream_event
