#!/usr/bin/env python3
"""Writes docs/cli.md: what the commands show, captured from a simulated fleet.

    cargo build --release && docs/capture-cli.py target/release/replicante > docs/cli.md

The fleet and its changes are the same each time; times are not. Needs Python alone.

    docs/capture-cli.py BINARY --environment FILE   a deployment that runs already: FILE holds its variables as JSON, as
                                                    `up` writes them to .replicante/environment.json
    docs/capture-cli.py BINARY --also FILE          with what `tests/emulators/run.sh` captured of the same commands
    docs/capture-cli.py --check                     whether docs/cli.md shows just the commands that are below
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORT = 7654
OBJECTS = f"""\
apiVersion: replicante.io/v0
kind: Discovery
metadata: {{ name: fleet }}
spec:
  interval: 5s
  refresh: {{ interval: 2s }}
  source: {{ http: {{ url: "http://127.0.0.1:{PORT}/clusters" }} }}
"""
# What overrides the discovery for one cluster.
OBJECT = """\
apiVersion: replicante.io/v0
kind: Cluster
metadata: { name: zk-06 }
spec: { interval: 90m }
"""
# What follows is the same again, elsewhere.
ALSO = "## On moto and kinesis-local"
SCRIPT = """[
  {"at": "20s", "change": {"change": "agent", "cluster": "zk-01", "node": "node-2", "state": "gone"}}
]"""

# Heading, words, commands.
PAGES = [
    (
        "What there is",
        "`get` shows what is stored now. Names may be patterns; lists are filtered, sorted, watched (`-w`), and written as "
        "`-o wide`, `json` or `yaml`.",
        ["get clusters", "get clusters 'z*' --sort nodes", "get clusters zk-01 -o wide", "get cluster zk-01",
         "get nodes --status agent-down", "get nodes zk-01 --sort status", "get shards zk-01", "get actions --unfinished",
         "get discoveries", "get discovery fleet", "get clusters zk-01 -o yaml", "get clusters --health down"],
    ),
    (
        "Several deployments",
        "A context is a name for a data folder, or for a stack on AWS with its region, profile and endpoint. `--context NAME`, "
        "`REPLICANTE_CONTEXT` or `context use` chooses one.",
        ["context add here --data /srv/replicante", "context add prod --stack replicante --region eu-central-1 --profile ops",
         "context list", "context use prod", "context use --none"],
    ),
    (
        "What changed",
        "`events` reads the stream: each change once, in its cluster's order. Times are UTC; `--since 2h`, `--from` and `--to` take "
        "how long ago, or a time with its offset.",
        ["events --cluster zk-01 --since 10s", "events --relative --type cluster.new --limit 3", "diff zk-01 --from 10s",
         "events --cluster zk-01 --type agent.down -o json"],
    ),
    (
        "What was",
        "`at` folds the events up to a moment: the cluster as it was, as far back as the stream is kept.",
        ["at zk-01 --time 10s"],
    ),
    (
        "What you ask for",
        "`refresh` and `discover` ask for a look now; `--wait` waits for it, and ends with 1 when it failed or took too long.",
        ["refresh zk-01 --wait", "discover fleet --wait -o json"],
    ),
    (
        "Objects",
        "`validate` checks files with nothing to connect to, `apply` stores them, `export` writes what is stored as a file that "
        "`apply` takes back.",
        ["validate -f fleet.yaml --tick 1s", "apply -f fleet.yaml", "discovery test -f fleet.yaml", "apply -f zk-06.yaml",
         "export", "delete cluster zk-06 --yes"],
    ),
    (
        "What goes, and what is held",
        "`forget` removes a cluster or a node whatever its source says, until a time; `unforget` takes it back. Of what its source "
        "no longer reports, so much at once is held until `discovery confirm` says that it is gone.",
        ["forget zk-06 node-1 --until 2h --yes --actor ann", "unforget zk-06 node-1 --actor ann", "discovery confirm fleet"],
    ),
    (
        "Leaving things alone",
        "`pause` stops the schedules of a cluster, a discovery or everything, until a time or until `resume`.",
        ["pause cluster zk-06 --until 2h --reason 'new racks' --actor ann", "get clusters 'zk-*'", "status",
         "resume cluster zk-06"],
    ),
    (
        "What is expected",
        "`maintenance` hides nothing: what is seen within its window says so.",
        ["maintenance begin zk-06 --until 2h --reason 'new racks' --actor ann", "refresh zk-06 --wait",
         "events --cluster zk-06 --type cluster.maintenance_began", "get cluster zk-06", "maintenance end zk-06 --actor ann"],
    ),
    (
        "Is it well itself?",
        "`status` is about Replicante, not about the clusters: worst first, with what to do next. It ends with 3 for warnings and 4 "
        "for what is critical.",
        ["status", "status -o json", "dlq list", "dlq show 5fd1b2"],
    ),
    (
        "Why is it down?",
        "`doctor` checks how a deployment is set up: each line is ok, warn or bad, with what to do next. `doctor cluster` asks each "
        "agent from here, with the code of the workers, and says what it sees beside what they saw. `runs` tells what the last "
        "tasks of a cluster did. Exit codes are those of `status`.",
        ["doctor", "doctor cluster zk-01", "runs zk-01 --limit 4"],
    ),
    (
        "What it needs of AWS",
        "`capacity` computes: nothing is asked.",
        ["capacity --clusters 1000 --nodes 5 --interval 60s"],
    ),
    (
        "What goes wrong",
        "One line on the standard error output that says what is wrong, and the way out. Exit code 1, or 2 for wrong usage.",
        ["get cluster zk-1", "get clusters zk-1", "resume cluster zk-01", "at zk-01 --time 2026-11-23T08:30:00", "events --type agent.dwn", "get clusters --context prd", "at zk-01 --time 30d"],
    ),
]


def run(binary, folder, variables, arguments):
    """What a command writes to a pipe, and its exit code."""
    words = [part.strip("'") for part in re.findall(r"'[^']*'|\S+", arguments)]
    # The folder is named by the environment that `up` writes: what is shown is what a user sees. Contexts are not the user's.
    env = {**os.environ, **variables, "NO_COLOR": "1", "REPLICANTE_CONFIG": "config.yaml"}
    result = subprocess.run([binary, *words], cwd=folder, capture_output=True, text=True, timeout=60, env=env)
    lines = (result.stdout + result.stderr).rstrip().splitlines()
    return [line for line in lines if not line.startswith("(from the ")], result.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="?", type=Path)
    parser.add_argument("--environment", type=Path)
    parser.add_argument("--also", type=Path)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    if given.check:
        check()
        return
    if given.binary is None:
        parser.error("it needs the binary")
    binary = str(given.binary.resolve())
    also = given.also.read_text() if given.also else None
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "fleet.yaml").write_text(OBJECTS)
        (folder / "zk-06.yaml").write_text(OBJECT)
        (folder / "script.json").write_text(SCRIPT)
        if given.environment:
            pages(binary, folder, json.loads(given.environment.read_text()))
        else:
            simulated(binary, folder)
    if also:
        print(f"\n{ALSO}\n\nThe same commands, on services that share no code with those above.\n\n{also.strip()}")


def simulated(binary, folder):
    """The pages of a fleet that is started for them."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    fleet = subprocess.Popen(
        [binary, "fleet", "--port", str(PORT), "--clusters", "8", "--script", "script.json"], cwd=folder, **quiet
    )
    up = subprocess.Popen([binary, "up", "-f", "fleet.yaml"], cwd=folder, **quiet)
    try:
        wait(binary, folder)
        pages(binary, folder, {})
    finally:
        for process in (up, fleet):
            process.terminate()
        for process in (up, fleet):
            process.wait(timeout=30)


def wait(binary, folder):
    """Until all clusters are known, and the change has been seen."""
    for _ in range(120):
        lines, code = run(binary, folder, {}, "get nodes --status agent-down")
        if code == 0 and len(lines) == 2 and lines[1].startswith("zk-01"):
            return
        time.sleep(0.5)
    sys.exit("the fleet was not seen")


def check():
    """Fails where docs/cli.md shows other commands than the pages have, or in another order."""
    text = (ROOT / "docs/cli.md").read_text().split(f"\n{ALSO}\n")[0]
    shown = re.findall(r"^\$ replicante (.*)$", text, re.MULTILINE)
    meant = [command for _, _, commands in PAGES for command in commands]
    if shown == meant:
        return
    for command in [command for command in meant if command not in shown]:
        print(f"docs/cli.md does not show: {command}", file=sys.stderr)
    for command in [command for command in shown if command not in meant]:
        print(f"docs/capture-cli.py does not have: {command}", file=sys.stderr)
    sys.exit("docs/cli.md is not what docs/capture-cli.py writes: run it again")


def pages(binary, folder, variables):
    print("# The command line\n")
    print("What the commands show, captured from a simulated fleet of eight clusters in which one agent has just gone.")
    print("Written by `docs/capture-cli.py`; `replicante COMMAND --help` has all options, with examples.")
    for heading, words, commands in PAGES:
        print(f"\n## {heading}\n\n{words}")
        for command in commands:
            lines, code = run(binary, folder, variables, command)
            print(f"\n```console\n$ replicante {command}")
            for line in lines:
                print(line.rstrip())
            if code:
                print(f"$ echo $?\n{code}")
            print("```")


if __name__ == "__main__":
    main()
