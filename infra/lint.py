#!/usr/bin/env python3
"""Checks template.yaml as it is deployed: after the SAM transform.

1. The transformed template is linted. Linting the source alone misses errors in generated resources.
2. timeout of a worker < lease < visibility timeout, and what the environment says is what the queues have.
3. Every REPLICANTE_ variable is in docs/settings.md, and every required one is set.
4. Each function's role allows exactly the actions of the table in docs/security.md, each on the one resource that it
   is for, and each action on the table is bounded to partitions. What Lambda alone may do in its name is denied to
   the function's code.
5. The table, the queues and the stream are encrypted, and what must not be lost is retained.

`--self-test` breaks a copy of the template, one rule at a time, and fails unless that rule finds it.
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
# Actions that no single resource can be named for: no interface exists beforehand.
ANYWHERE = re.compile(r"^ec2:")
# Whose code is denied them: every function's. Lambda itself is none.
BY_CODE = {
    "ArnLike": {
        "lambda:SourceFunctionArn": {
            "Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*"
        }
    }
}


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
        for branch in policy["Fn::If"][1:] if "Fn::If" in policy else [policy]:
            yield from branch.get("PolicyDocument", {}).get("Statement", [])


def listed(value):
    return value if isinstance(value, list) else [value]


def resource_of(function, action):
    """The one resource that a function is allowed an action on."""
    service = action.split(":")[0]
    if action == "s3:GetObject":
        # The objects of the one bucket: their keys are the operators' own.
        return {"Fn::Sub": "arn:${AWS::Partition}:s3:::${SourceBucket}/*"}
    if action == "ssm:GetParameter":
        # Parameters below the one path: their names are the operators' own.
        return {"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${SecretsPath}"}
    if service == "sqs":
        name = WORKERS.get(function) or WORKERS[function.replace("Scheduler", "Worker")]
    else:
        name = {"dynamodb": "Table", "kinesis": "Stream", "logs": f"{function}Logs"}.get(service)
    return {"Fn::GetAtt": [name, "Arn"]}


def where(function, role_name, statement):
    """Each action of a statement stands on its own resource, and no other Resource is a pattern."""
    found = listed(statement.get("Resource", []))
    for action in listed(statement["Action"]):
        if ANYWHERE.match(action):
            if found != ["*"]:
                yield f"{role_name}: {action} is on {json.dumps(found)}, and Lambda needs it anywhere"
        elif found == [resource_of(function, action)]:
            continue
        elif any("*" in json.dumps(resource) or "?" in json.dumps(resource) for resource in found):
            yield f"{role_name}: {action} is allowed on a pattern: {json.dumps(found)}"
        else:
            expected = json.dumps(resource_of(function, action))
            yield f"{role_name}: {action} is allowed on {json.dumps(found)} instead of {expected}"


def bucket(role_name, role):
    """Objects are read only where a bucket is named: without its name, the pattern would be all objects of none."""
    for policy in role["Properties"].get("Policies", []):
        condition, *branches = policy.get("Fn::If", [None, policy, {}])
        for named, branch in zip([condition == "HasSourceBucket", False], branches):
            for statement in branch.get("PolicyDocument", {}).get("Statement", []):
                if not named and any(action.startswith("s3:") for action in listed(statement.get("Action", []))):
                    yield f"{role_name}: S3 is allowed on another condition than HasSourceBucket"


def denied(role_name, role):
    """What Lambda may do in the name of the role is denied to the function's own code."""
    anywhere, by_code = set(), set()
    for statement in statements(role):
        actions = {action for action in listed(statement.get("Action", [])) if ANYWHERE.match(action)}
        if statement["Effect"] == "Allow":
            anywhere |= actions
        elif statement.get("Condition") == BY_CODE and statement.get("Resource") == "*":
            by_code |= actions
    for action in sorted(anywhere - by_code):
        yield f"{role_name}: {action} is not denied to the function's own code (NotByCode)"


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
            if not {"Action", "Resource"} <= statement.keys():
                yield f"{role_name}: a statement allows all but something: {json.dumps(sorted(statement))}"
                continue
            yield from where(name, role_name, statement)
            condition = statement.get("Condition", {})
            keys = condition.get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", [])
            for action in listed(statement["Action"]):
                if action in allowed:
                    yield f"{role_name}: {action} is allowed twice"
                allowed[action] = set(keys)
                if action.startswith("dynamodb:") and not keys:
                    yield f"{role_name}: {action} is not bounded by dynamodb:LeadingKeys"
                if keys and condition.get("Null") != {"dynamodb:LeadingKeys": "false"}:
                    yield f"{role_name}: {action} is allowed on a request without a key"
        yield from denied(role_name, role)
        yield from bucket(role_name, role)
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
    """What --self-test breaks: a word for it, what the finding must say, and how it is broken."""

    def properties(source, name):
        return source["Resources"][name]["Properties"]

    def variables(source):
        return source["Globals"]["Function"]["Environment"]["Variables"]

    def tasks(source):
        return properties(source, "RefreshWorker")["Events"]["Tasks"]["Properties"]

    def own(source, role):
        return properties(source, role)["Policies"][0]["PolicyDocument"]["Statement"]

    def first(source, role):
        return own(source, role)[0]

    def log(source, role):
        return own(source, role)[-1]

    def secrets(source, role):
        return own(source, role)[-2]

    def vpc(source, role):
        return properties(source, role)["Policies"][1]["Fn::If"][1]["PolicyDocument"]["Statement"]

    def source_bucket(source):
        return properties(source, "DiscoveryWorkerRole")["Policies"][2]["Fn::If"]

    yield "a batch that the generated mapping can't have", r"^E\d+ at .*BatchSize", lambda s: tasks(s).update(BatchSize=-1)
    yield "lease below the timeout", "not timeout 120 s < lease 100 s", lambda s: variables(s).update(
        REPLICANTE_LEASE="100s"
    )
    yield "lease above the visibility", "lease 180 s < visibility timeout 180 s", lambda s: variables(s).update(
        REPLICANTE_LEASE="3m"
    )
    yield "timeout above the lease", "not timeout 160 s < lease", lambda s: properties(s, "RefreshWorker").update(Timeout=160)
    yield "another visibility", "REPLICANTE_VISIBILITY_TIMEOUT is not the 200 s", lambda s: properties(
        s, "RefreshQueue"
    ).update(VisibilityTimeout=200)
    yield "other receives", "REPLICANTE_MAX_RECEIVE_COUNT is not", lambda s: variables(s).update(
        REPLICANTE_MAX_RECEIVE_COUNT="3"
    )
    yield "another tick", "is not REPLICANTE_TICK", lambda s: variables(s).update(REPLICANTE_TICK="58s")
    yield "a pass longer than a tick", "longer than a tick", lambda s: variables(s).update(REPLICANTE_TICK="30s")
    yield "unknown setting", "REPLICANTE_SPEED is not in docs", lambda s: variables(s).update(REPLICANTE_SPEED="fast")
    yield "setting left out", "REPLICANTE_TABLE is required", lambda s: variables(s).pop("REPLICANTE_TABLE")
    yield "whole batches fail", "without ReportBatchItemFailures", lambda s: tasks(s).pop("FunctionResponseTypes")
    yield "one action more", "dynamodb:Scan is not in the table", lambda s: first(s, "RefreshSchedulerRole")[
        "Action"
    ].append("dynamodb:Scan")
    yield "one action less", "dynamodb:UpdateItem of the table .* is not allowed", lambda s: first(
        s, "RefreshSchedulerRole"
    )["Action"].pop()
    yield "all actions but one", "allows all but something", lambda s: own(s, "RefreshSchedulerRole").append(
        {"Effect": "Allow", "NotAction": "dynamodb:Scan", "Resource": "*"}
    )
    yield "other partitions", "the table says", lambda s: first(s, "RefreshSchedulerRole")["Condition"].update(
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*"]}}
    )
    yield "no partitions", "not bounded by dynamodb:LeadingKeys", lambda s: first(s, "RefreshWorkerRole").pop("Condition")
    yield "no null check", "a request without a key", lambda s: first(s, "RefreshWorkerRole")["Condition"].pop("Null")
    yield "any resource", "GetItem is allowed on a pattern", lambda s: first(s, "DiscoveryWorkerRole").update(Resource="*")
    yield "any resource of a list", "GetItem is allowed on a pattern", lambda s: first(s, "DiscoveryWorkerRole").update(
        Resource=[{"Fn::GetAtt": ["Table", "Arn"]}, "*"]
    )
    yield "any bucket", "GetObject is allowed on a pattern", lambda s: source_bucket(s)[1]["PolicyDocument"]["Statement"][
        0
    ].update(Resource="arn:aws:s3:::*")
    yield "objects to be written", "s3:PutObject is not in the table", lambda s: source_bucket(s)[1]["PolicyDocument"][
        "Statement"
    ][0].update(Action=["s3:GetObject", "s3:PutObject"])
    yield "objects without a bucket", "another condition than HasSourceBucket", lambda s: source_bucket(s).__setitem__(
        0, "IsInVpc"
    )
    yield "objects of the other worker", "RefreshWorkerRole: s3:GetObject is not in the table", lambda s: properties(
        s, "RefreshWorkerRole"
    )["Policies"].append(properties(s, "DiscoveryWorkerRole")["Policies"][2])
    yield "any parameter", "GetParameter is allowed on a pattern", lambda s: secrets(s, "RefreshWorkerRole").update(
        Resource={"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/*"}
    )
    yield "parameters to be written", "ssm:PutParameter is not in the table", lambda s: secrets(
        s, "DiscoveryWorkerRole"
    ).update(Action=["ssm:GetParameter", "ssm:PutParameter"])
    yield "parameters of a scheduler", "RefreshSchedulerRole: ssm:GetParameter is not in the table", lambda s: own(
        s, "RefreshSchedulerRole"
    ).append(secrets(s, "RefreshWorkerRole"))
    yield "any table", "GetItem is allowed on a pattern", lambda s: first(s, "DiscoveryWorkerRole").update(
        Resource={"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/*"}
    )
    yield "another table", r'GetItem is allowed on .*Stream.* instead of .*Table', lambda s: first(
        s, "DiscoveryWorkerRole"
    ).update(Resource={"Fn::GetAtt": ["Stream", "Arn"]})
    yield "two queues", "SendMessage is allowed on .*RefreshQueue.* instead of .*DiscoveryQueue", lambda s: own(
        s, "DiscoverySchedulerRole"
    )[1].update(Resource=[{"Fn::GetAtt": ["DiscoveryQueue", "Arn"]}, {"Fn::GetAtt": ["RefreshQueue", "Arn"]}])
    yield "another's logs", "PutLogEvents is allowed on .*RefreshWorkerLogs.* instead", lambda s: log(
        s, "DiscoveryWorkerRole"
    ).update(Resource={"Fn::GetAtt": ["RefreshWorkerLogs", "Arn"]})
    yield "no denial", "CreateNetworkInterface is not denied", lambda s: vpc(s, "RefreshWorkerRole").pop()
    yield "a denial of less", "UnassignPrivateIpAddresses is not denied", lambda s: vpc(s, "DiscoveryWorkerRole")[1][
        "Action"
    ].pop()
    yield "a denial of one function", "is not denied", lambda s: vpc(s, "RefreshWorkerRole")[1].update(
        Condition={"ArnLike": {"lambda:SourceFunctionArn": {"Fn::GetAtt": ["DiscoveryWorker", "Arn"]}}}
    )
    yield "a policy where there is no VPC", "s3:GetObject is not in the table", lambda s: properties(s, "RefreshWorkerRole")[
        "Policies"
    ][1]["Fn::If"].__setitem__(
        2,
        {
            "PolicyName": "else",
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": {"Fn::GetAtt": ["Table", "Arn"]}}],
            },
        },
    )
    yield "managed policy", "managed policies allow more", lambda s: properties(s, "RefreshWorkerRole").update(
        ManagedPolicyArns=["arn:aws:iam::aws:policy/X"]
    )
    yield "table not retained", "Table: DeletionPolicy is not Retain", lambda s: s["Resources"]["Table"].pop("DeletionPolicy")
    yield "stream in the clear", "Stream: not encrypted", lambda s: properties(s, "Stream").pop("StreamEncryption")
    yield "queue in the clear", "RefreshDeadLetters: not encrypted", lambda s: properties(s, "RefreshDeadLetters").pop(
        "SqsManagedSseEnabled"
    )


def self_test(source):
    unseen = []
    for word, expected, damage in breaks():
        broken = copy.deepcopy(source)
        damage(broken)
        # Linting is slow, and needed for what no rule of ours says.
        found = list(check(broken)) or lint(transformed(broken))
        said = next((finding for finding in found if re.search(expected, finding)), None)
        print(f"  {word}: {said or f'NOT FOUND, but {found}'}")
        if said is None:
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
