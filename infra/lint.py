#!/usr/bin/env python3
"""Checks template.yaml as it is deployed: after the SAM transform.

1. The transformed template is linted. Linting the source alone misses errors in generated resources.
2. timeout of a worker < lease < visibility timeout, and what the environment says is what the queues have.
3. Every REPLICANTE_ variable is in docs/settings.md, and every required one is set.
4. Each function's role allows exactly the actions of the table in docs/security.md, none on more than it must,
   and each action on the table is bounded to partitions.
5. The table, the queues and the stream are encrypted, and what must not be lost is retained.

`--self-test` breaks a copy of the template, one rule at a time, and fails unless each break is found.
Run it by infra/lint.sh, which installs what it imports.
"""

import copy
import json
import logging
import re
import sys
import tempfile
from pathlib import Path

import cfnlint
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# The transform counts what it does for a service that is not used here, and complains that nobody asks.
logging.getLogger("samtranslator.metrics.metrics").setLevel(logging.ERROR)

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = ["DiscoveryScheduler", "RefreshScheduler", "DiscoveryWorker", "RefreshWorker"]
WORKERS = {"DiscoveryWorker": "DiscoveryQueue", "RefreshWorker": "RefreshQueue"}
# Actions that no single resource can be named for.
ANYWHERE = re.compile(r"^ec2:")


class NoPolicies(ManagedPolicyLoader):
    """The template uses no managed policies. Asked for one, this fails: nobody is called for a list."""

    def __init__(self):
        super().__init__(None)

    def load(self):
        return {}


def transformed(source):
    """The template as CloudFormation sees it. The transform knows only code that was uploaded."""
    source = copy.deepcopy(source)
    for name in FUNCTIONS:
        source["Resources"][name]["Properties"]["CodeUri"] = f"s3://bucket/{name}"
    parameters = {name: given["Default"] for name, given in source["Parameters"].items()}
    return transform(source, parameters, NoPolicies())


def lint(template):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(template, file)
        file.flush()
        options = cfnlint.ManualArgs(regions=["us-east-1", "eu-central-1"])
        found = cfnlint.lint_file(Path(file.name), options)
    return [f"{match.rule.id} at {'/'.join(map(str, match.path or []))}: {match.message}" for match in found]


def seconds(text):
    match = re.fullmatch(r"(\d+)(s|m|h)", text)
    if not match:
        raise ValueError(f"{text} is no duration that this check reads")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def documented_settings():
    rows = re.findall(r"^\| `(REPLICANTE_\w+)` \| (\S+) \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    return dict(rows)


def documented_actions():
    """The table of docs/security.md: function, action, where."""
    text = (ROOT / "docs/security.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| `([a-z0-9]+:\w+)` \| (.+?) \|", text, re.MULTILINE)
    table = {}
    for function, action, where in rows:
        name = "".join(part.capitalize() for part in function.split("-"))
        table.setdefault(name, {})[action] = set(re.findall(r"`([^`]+)`", where))
    return table


def environment(resources, name):
    return resources[name]["Properties"]["Environment"]["Variables"]


def order(resources):
    for worker, queue in WORKERS.items():
        variables = environment(resources, worker)
        timeout = resources[worker]["Properties"]["Timeout"]
        lease = seconds(variables["REPLICANTE_LEASE"])
        properties = resources[queue]["Properties"]
        visibility, receives = properties["VisibilityTimeout"], properties["RedrivePolicy"]["maxReceiveCount"]
        if not timeout < lease < visibility:
            yield f"{worker}: not timeout {timeout} s < lease {lease} s < visibility timeout {visibility} s"
        if seconds(variables["REPLICANTE_VISIBILITY_TIMEOUT"]) != visibility:
            yield f"{worker}: REPLICANTE_VISIBILITY_TIMEOUT is not the {visibility} s of {queue}"
        if variables["REPLICANTE_MAX_RECEIVE_COUNT"] != str(receives):
            yield f"{worker}: REPLICANTE_MAX_RECEIVE_COUNT is not the {receives} of {queue}"
        mappings = [
            resource["Properties"]
            for resource in resources.values()
            if resource["Type"] == "AWS::Lambda::EventSourceMapping"
            and resource["Properties"]["FunctionName"] == {"Ref": worker}
        ]
        if len(mappings) != 1:
            yield f"{worker}: {len(mappings)} event source mappings instead of 1"
        for mapping in mappings:
            if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
                yield f"{worker}: without ReportBatchItemFailures one failed task repeats its whole batch"
            if mapping.get("BatchSize", 0) > int(variables["REPLICANTE_CONCURRENCY"]):
                yield f"{worker}: a batch is larger than REPLICANTE_CONCURRENCY: its last tasks wait"
    for scheduler in set(FUNCTIONS) - set(WORKERS):
        tick = seconds(environment(resources, scheduler)["REPLICANTE_TICK"])
        if resources[scheduler]["Properties"]["Timeout"] >= tick:
            yield f"{scheduler}: it may run longer than a tick"
        rule = resources[f"{scheduler}Tick"]["Properties"]
        if (rule["ScheduleExpression"], tick) != ("rate(1 minute)", 60):
            yield f"{scheduler}: {rule['ScheduleExpression']} is not REPLICANTE_TICK, {tick} s"


def settings(resources):
    known = documented_settings()
    for name in FUNCTIONS:
        given = environment(resources, name)
        for variable in given:
            if variable.startswith("REPLICANTE_") and variable not in known:
                yield f"{name}: {variable} is not in docs/settings.md"
        for variable, default in known.items():
            if default == "required" and variable not in given:
                yield f"{name}: {variable} is required and not set"


def statements(role):
    """The statements of a role, those on a condition included."""
    for policy in role["Properties"].get("Policies", []):
        policy = policy["Fn::If"][1] if "Fn::If" in policy else policy
        yield from policy["PolicyDocument"]["Statement"]


def policies(resources):
    documented = documented_actions()
    for name in FUNCTIONS:
        role_name = resources[name]["Properties"]["Role"]["Fn::GetAtt"][0]
        role = resources[role_name]
        if "ManagedPolicyArns" in role["Properties"]:
            yield f"{role_name}: managed policies allow more than the table of docs/security.md"
        allowed = {}
        for statement in statements(role):
            if statement["Effect"] != "Allow":
                continue
            actions = statement["Action"]
            actions = [actions] if isinstance(actions, str) else actions
            condition = statement.get("Condition", {})
            keys = condition.get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", [])
            for action in actions:
                if action in allowed:
                    yield f"{role_name}: {action} is allowed twice"
                allowed[action] = set(keys)
                if statement["Resource"] == "*" and not ANYWHERE.match(action):
                    yield f"{role_name}: {action} is allowed on everything"
                if action.startswith("dynamodb:") and not keys:
                    yield f"{role_name}: {action} is not bounded by dynamodb:LeadingKeys"
                if keys and condition.get("Null") != {"dynamodb:LeadingKeys": "false"}:
                    yield f"{role_name}: {action} is allowed on a request without a key"
        wanted = documented.get(name, {})
        for action in sorted(set(allowed) - set(wanted)):
            yield f"{role_name}: {action} is not in the table of docs/security.md"
        for action in sorted(set(wanted) - set(allowed)):
            yield f"{role_name}: {action} of the table of docs/security.md is not allowed"
        for action in sorted(set(wanted) & set(allowed)):
            if action.startswith("dynamodb:") and allowed[action] != wanted[action]:
                yield f"{role_name}: {action} is allowed on {sorted(allowed[action])}, the table says {sorted(wanted[action])}"
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role" and name not in {f"{function}Role" for function in FUNCTIONS}:
            yield f"{name}: a role that belongs to no function"


def storage(resources):
    table, stream = resources["Table"], resources["Stream"]
    for name in ["Table", "Stream"]:
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"]:
            if resources[name].get(policy) != "Retain":
                yield f"{name}: {policy} is not Retain"
    if not table["Properties"].get("SSESpecification", {}).get("SSEEnabled"):
        yield "Table: not encrypted by a key of the account"
    if not table["Properties"].get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"):
        yield "Table: no point-in-time recovery"
    if table["Properties"].get("BillingMode") != "PAY_PER_REQUEST":
        yield "Table: not on demand"
    if "StreamEncryption" not in stream["Properties"]:
        yield "Stream: not encrypted"
    queues = {name: resource for name, resource in resources.items() if resource["Type"] == "AWS::SQS::Queue"}
    if len(queues) != 4:
        yield f"{len(queues)} queues instead of two and their dead-letter queues"
    for name, queue in queues.items():
        if not queue["Properties"].get("SqsManagedSseEnabled"):
            yield f"{name}: not encrypted"


def check(source):
    template = transformed(source)
    resources = template["Resources"]
    for rule in [order, settings, policies, storage]:
        yield from rule(resources)


def breaks():
    """What --self-test breaks: a word for it, and how."""

    def properties(source, name):
        return source["Resources"][name]["Properties"]

    def variables(source):
        return source["Globals"]["Function"]["Environment"]["Variables"]

    def first(source, role):
        return properties(source, role)["Policies"][0]["PolicyDocument"]["Statement"][0]

    yield "a batch that the generated mapping can't have", lambda s: properties(s, "RefreshWorker")["Events"]["Tasks"][
        "Properties"
    ].update(BatchSize=-1)
    yield "lease below the timeout", lambda s: variables(s).update(REPLICANTE_LEASE="100s")
    yield "lease above the visibility", lambda s: variables(s).update(REPLICANTE_LEASE="3m")
    yield "timeout above the lease", lambda s: properties(s, "RefreshWorker").update(Timeout=160)
    yield "another visibility", lambda s: properties(s, "RefreshQueue").update(VisibilityTimeout=200)
    yield "other receives", lambda s: variables(s).update(REPLICANTE_MAX_RECEIVE_COUNT="3")
    yield "another tick", lambda s: variables(s).update(REPLICANTE_TICK="30s")
    yield "unknown setting", lambda s: variables(s).update(REPLICANTE_SPEED="fast")
    yield "setting left out", lambda s: variables(s).pop("REPLICANTE_TABLE")
    yield "whole batches fail", lambda s: properties(s, "RefreshWorker")["Events"]["Tasks"]["Properties"].pop(
        "FunctionResponseTypes"
    )
    yield "one action more", lambda s: first(s, "RefreshSchedulerRole")["Action"].append("dynamodb:Scan")
    yield "one action less", lambda s: first(s, "RefreshSchedulerRole")["Action"].pop()
    yield "other partitions", lambda s: first(s, "RefreshSchedulerRole")["Condition"].update(
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*"]}}
    )
    yield "no partitions", lambda s: first(s, "RefreshWorkerRole").pop("Condition")
    yield "no null check", lambda s: first(s, "RefreshWorkerRole")["Condition"].pop("Null")
    yield "any resource", lambda s: first(s, "DiscoveryWorkerRole").update(Resource="*")
    yield "managed policy", lambda s: properties(s, "RefreshWorkerRole").update(ManagedPolicyArns=["arn:aws:iam::aws:policy/X"])
    yield "table not retained", lambda s: s["Resources"]["Table"].pop("DeletionPolicy")
    yield "stream in the clear", lambda s: properties(s, "Stream").pop("StreamEncryption")
    yield "queue in the clear", lambda s: properties(s, "RefreshDeadLetters").pop("SqsManagedSseEnabled")


def self_test(source):
    unseen = []
    for word, damage in breaks():
        broken = copy.deepcopy(source)
        damage(broken)
        found = list(check(broken)) or lint(transformed(broken))
        print(f"  {word}: {found[0] if found else 'NOT FOUND'}")
        if not found:
            unseen.append(word)
    return unseen


def main():
    source = yaml_parse((ROOT / "template.yaml").read_text())
    problems = lint(transformed(source)) + list(check(source))
    for problem in problems:
        print(f"template.yaml: {problem}", file=sys.stderr)
    if problems:
        return 1
    print("template.yaml: transformed, linted, and as docs/settings.md and docs/security.md say")
    if "--self-test" in sys.argv[1:]:
        unseen = self_test(source)
        if unseen:
            print(f"not found: {', '.join(unseen)}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
