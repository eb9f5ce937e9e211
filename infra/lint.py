#!/usr/bin/env python3
"""Checks template.yaml as it is deployed: after the SAM transform.

1. The transformed template is linted, and each nested one. Linting the source alone misses errors in generated resources.
2. timeout of a worker < lease < visibility timeout, which is three times the timeout at least, and longer than window,
   timeout and lease together. What the environment says is what the queues have. Nothing is tried again or runs unless
   Enabled says so.
3. Every REPLICANTE_ variable is in docs/settings.md, and every required one is set. The lists of addresses that are allowed
   and denied are the parameters.
4. Each function's role allows exactly the actions of the table in docs/security.md, each on the one resource that it
   is for, and each action on the table is bounded to partitions. What Lambda alone may do in its name is denied to
   the function's code.
5. The table, the queues, the stream and the logs are encrypted, by the one key where there is one; what must not be lost
   is retained; all that can have tags has the deployment's.
6. Each parameter is described, bounded and in one group. The outputs that the command line reads are there.
7. Nested stacks get the parameters that they have. Alarms and dashboard: see monitoring.py.

`--self-test` breaks a copy of the template, one rule at a time, and fails unless that rule finds it.
Run it by infra/lint.sh, which installs what it imports.
"""

import copy
import json
import re
import sys

import monitoring
from template import FUNCTIONS, ROOT, lint, listed, read, transformed

# Where sources and agents may be.
ADDRESS_LISTS = {
    f"REPLICANTE_{word}_{what}".upper(): f"{word}{what}"
    for word in ("Allow", "Deny")
    for what in ("Networks", "Ports")
}
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


def order(resources, parameters):
    for worker, queue in WORKERS.items():
        variables = environment(resources, worker)
        timeout = resources[worker]["Properties"]["Timeout"]
        lease = seconds(variables["REPLICANTE_LEASE"])
        properties = resources[queue]["Properties"]
        visibility, receives = properties["VisibilityTimeout"], properties["RedrivePolicy"]["maxReceiveCount"]
        if not timeout < lease < visibility:
            yield f"{worker}: not timeout {timeout} s < lease {lease} s < visibility timeout {visibility} s"
        if visibility < 3 * timeout:
            yield f"{worker}: the visibility timeout, {visibility} s, is less than three times the timeout, {timeout} s"
        dead = queue.removesuffix("Queue") + "DeadLetters"
        if properties["RedrivePolicy"]["deadLetterTargetArn"] != {"Fn::GetAtt": [dead, "Arn"]}:
            yield f"{queue}: its dead letters do not go to {dead}"
        if resources[dead]["Properties"].get("MessageRetentionPeriod") != 14 * 86_400:
            yield f"{dead}: not kept for 14 days, the most there is"
        window = parameters["BatchingWindowSeconds"]["MaxValue"]
        if window + timeout + lease >= visibility:
            yield f"{worker}: window {window} s + timeout {timeout} s + lease {lease} s reach the visibility timeout"
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
            if mapping.get("BatchSize") != 10:
                yield f"{worker}: a batch is not of 10, for which its costs are counted"
            scaling = {"MaximumConcurrency": {"Ref": worker.removesuffix("Worker") + "Concurrency"}}
            if mapping.get("ScalingConfig") != scaling:
                yield f"{worker}: as many at once as Lambda likes, instead of {scaling['MaximumConcurrency']['Ref']}"
            if mapping.get("BatchSize", 0) > int(variables["REPLICANTE_CONCURRENCY"]):
                yield f"{worker}: a batch is larger than REPLICANTE_CONCURRENCY: its last tasks wait"
            if mapping.get("MaximumBatchingWindowInSeconds") != {"Ref": "BatchingWindowSeconds"}:
                yield f"{worker}: its batching window is not BatchingWindowSeconds"
            if mapping.get("Enabled") != {"Fn::If": ["IsEnabled", True, False]}:
                yield f"{worker}: its queue is worked off although Enabled is false"
    for scheduler in set(FUNCTIONS) - set(WORKERS):
        tick = seconds(environment(resources, scheduler)["REPLICANTE_TICK"])
        if resources[scheduler]["Properties"]["Timeout"] >= tick:
            yield f"{scheduler}: it may run longer than a tick"
        rule = resources[f"{scheduler}Tick"]["Properties"]
        if (rule["ScheduleExpression"], tick) != ("rate(1 minute)", 60):
            yield f"{scheduler}: {rule['ScheduleExpression']} is not REPLICANTE_TICK, {tick} s"
        if rule.get("State") != {"Fn::If": ["IsEnabled", "ENABLED", "DISABLED"]}:
            yield f"{scheduler}: its schedule fires although Enabled is false"
        once = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": tick}
        invoked = resources.get(f"{scheduler}EventInvokeConfig", {}).get("Properties", {})
        if [target.get("RetryPolicy") for target in rule["Targets"]] != [once] or not once.items() <= invoked.items():
            yield f"{scheduler}: an event is tried again, or is older than a tick: the next one is the retry"


def settings(resources, _):
    known = documented_settings()
    for name in FUNCTIONS:
        given = environment(resources, name)
        for variable in given:
            if variable.startswith("REPLICANTE_") and variable not in known:
                yield f"{name}: {variable} is not in docs/settings.md"
        for variable, default in known.items():
            if default == "required" and variable not in given:
                yield f"{name}: {variable} is required and not set"
        for variable, parameter in ADDRESS_LISTS.items():
            if given.get(variable) != {"Ref": parameter}:
                yield f"{name}: {variable} is not the parameter {parameter}"


def statements(role):
    """The statements of a role, those on a condition included."""
    for policy in role["Properties"].get("Policies", []):
        for branch in policy["Fn::If"][1:] if "Fn::If" in policy else [policy]:
            yield from branch.get("PolicyDocument", {}).get("Statement", [])


def resource_of(function, action):
    """The one resource that a function is allowed an action on."""
    service = action.split(":")[0]
    if action == "s3:GetObject":
        # The objects of the one bucket: their keys are the operators' own.
        return {"Fn::Sub": "arn:${AWS::Partition}:s3:::${SourceBucket}/*"}
    if action == "ssm:GetParameter":
        # Parameters below the one path: their names are the operators' own.
        return {"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${SecretsPath}"}
    if service == "kms":
        return {"Ref": "KeyArn"}
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


def optional(role_name, role):
    """Some things are allowed only where a parameter names what they are allowed on: else the pattern would be of none."""
    on = {"s3": "HasSourceBucket", "kms": "HasKey", "ec2": "IsInVpc"}
    for policy in role["Properties"].get("Policies", []):
        condition, *branches = policy.get("Fn::If", [None, policy, {}])
        for held, branch in zip([condition, None], branches):
            for statement in branch.get("PolicyDocument", {}).get("Statement", []):
                for service in sorted({action.split(":")[0] for action in listed(statement.get("Action", []))} & on.keys()):
                    if held != on[service]:
                        yield f"{role_name}: {service} is allowed on another condition than {on[service]}"


def key(name, role_name, role):
    """The key is used by the services that the function calls, not by its code."""
    services = ["dynamodb", "sqs"] + (["kinesis"] if name in WORKERS else [])
    via = {"kms:ViaService": [{"Fn::Sub": f"{service}.${{AWS::Region}}.${{AWS::URLSuffix}}"} for service in services]}
    for statement in statements(role):
        if any(action.startswith("kms:") for action in listed(statement.get("Action", []))):
            if statement.get("Condition") != {"StringEquals": via}:
                yield f"{role_name}: the key is not bounded to calls by {', '.join(services)}"


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


def policies(resources, _):
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
        yield from optional(role_name, role)
        yield from key(name, role_name, role)
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


OWN_KEY = {"Fn::If": ["HasKey", {"Ref": "KeyArn"}, {"Ref": "AWS::NoValue"}]}


def storage(resources, _):
    table, stream = resources["Table"], resources["Stream"]
    for name in ["Table", "Stream"]:
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"]:
            if resources[name].get(policy) != "Retain":
                yield f"{name}: {policy} is not Retain"
    if table["Properties"].get("SSESpecification") != {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": OWN_KEY}:
        yield "Table: not encrypted by a key of the account, KeyArn where there is one"
    if not table["Properties"].get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"):
        yield "Table: no point-in-time recovery"
    if table["Properties"].get("BillingMode") != {"Fn::If": ["IsTableProvisioned", "PROVISIONED", "PAY_PER_REQUEST"]}:
        yield "Table: not as TableMode says"
    if table["Properties"].get("TimeToLiveSpecification") != {"AttributeName": "expires", "Enabled": True}:
        yield "Table: what has an end never ends: no time to live on `expires`"
    if stream["Properties"].get("StreamModeDetails") != {"StreamMode": {"Ref": "StreamMode"}}:
        yield "Stream: not as StreamMode says"
    shards = {"Fn::If": ["IsStreamProvisioned", {"Ref": "StreamShards"}, {"Ref": "AWS::NoValue"}]}
    if stream["Properties"].get("ShardCount") != shards:
        yield "Stream: its shards are not StreamShards"
    if stream["Properties"].get("RetentionPeriodHours") != {"Ref": "StreamRetentionHours"}:
        yield "Stream: not kept for StreamRetentionHours"
    for name in FUNCTIONS:
        kept = environment(resources, name).get("REPLICANTE_STREAM_RETENTION")
        if kept != {"Fn::Sub": "${StreamRetentionHours}h"}:
            yield f"{name}: it takes the stream to be kept for {kept}: snapshots may be older than what is kept"
    encrypted = {"EncryptionType": "KMS", "KeyId": {"Fn::If": ["HasKey", {"Ref": "KeyArn"}, "alias/aws/kinesis"]}}
    if stream["Properties"].get("StreamEncryption") != encrypted:
        yield "Stream: not encrypted, by KeyArn where there is one"
    queues = {name: resource for name, resource in resources.items() if resource["Type"] == "AWS::SQS::Queue"}
    if len(queues) != 4:
        yield f"{len(queues)} queues instead of two and their dead-letter queues"
    of_sqs = {"Fn::If": ["HasKey", {"Ref": "AWS::NoValue"}, True]}
    for name, queue in queues.items():
        given = queue["Properties"]
        if (given.get("SqsManagedSseEnabled"), given.get("KmsMasterKeyId")) != (of_sqs, OWN_KEY):
            yield f"{name}: not encrypted, by KeyArn where there is one"
    for name in FUNCTIONS:
        if resources[f"{name}Logs"]["Properties"].get("KmsKeyId") != OWN_KEY:
            yield f"{name}Logs: not encrypted by KeyArn where there is one"
        if resources[f"{name}Logs"]["Properties"].get("RetentionInDays") != {"Ref": "LogRetentionDays"}:
            yield f"{name}Logs: not kept for LogRetentionDays"
        function = resources[name]["Properties"]
        if (function.get("Architectures"), function.get("Runtime")) != ([{"Ref": "Architecture"}], "provided.al2023"):
            yield f"{name}: not for Architecture on provided.al2023"


# What the transform makes can have no tag that it does not give; a stack's own tags reach it (samconfig.toml).
UNTAGGED = re.compile(r"AWS::(Lambda::(EventInvokeConfig|EventSourceMapping|Permission)|Events::Rule)")


def tags(resources, _):
    for name, resource in resources.items():
        tag = {"Key": "replicante:deployment", "Value": {"Ref": "Deployment"}}
        if not UNTAGGED.fullmatch(resource["Type"]) and tag not in resource["Properties"].get("Tags", []):
            yield f"{name}: without the tag of its deployment"


OUTPUTS = {
    "Deployment": {"Ref": "Deployment"},
    "Region": {"Ref": "AWS::Region"},
    "TableName": {"Ref": "Table"},
    "StreamName": {"Ref": "Stream"},
    "DiscoveryQueueUrl": {"Ref": "DiscoveryQueue"},
    "RefreshQueueUrl": {"Ref": "RefreshQueue"},
    "DiscoveryDeadLettersUrl": {"Ref": "DiscoveryDeadLetters"},
    "RefreshDeadLettersUrl": {"Ref": "RefreshDeadLetters"},
    "DiscoveryWorkerLogs": {"Ref": "DiscoveryWorkerLogs"},
    "RefreshWorkerLogs": {"Ref": "RefreshWorkerLogs"},
    "DiscoveryScheduler": {"Ref": "DiscoveryScheduler"},
    "RefreshScheduler": {"Ref": "RefreshScheduler"},
    "DiscoveryWorker": {"Ref": "DiscoveryWorker"},
    "RefreshWorker": {"Ref": "RefreshWorker"},
}
# Their values are names of AWS's own, which it checks.
FREE = ["SubnetIds", "SecurityGroupIds"]


def interface(source):
    groups = source["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    for name, given in source["Parameters"].items():
        if grouped.count(name) != 1:
            yield f"{name}: a parameter in {grouped.count(name)} groups"
        if not given.get("Description"):
            yield f"{name}: a parameter without a description"
        if name not in FREE and not ({"AllowedValues", "AllowedPattern"} & given.keys() or {"MinValue", "MaxValue"} <= given.keys()):
            yield f"{name}: a parameter that may have any value"
    for name in sorted(set(grouped) - set(source["Parameters"])):
        yield f"{name}: a group names it, and it is no parameter"
    for name, expected in OUTPUTS.items():
        if source["Outputs"].get(name, {}).get("Value") != expected:
            yield f"{name}: an output that the command line reads is missing, or another"


def nested(resources, files):
    """Each nested stack is given the parameters that its template has."""
    for name, stack in resources.items():
        if stack["Type"] != "AWS::CloudFormation::Stack":
            continue
        file = stack["Properties"]["TemplateURL"]
        if file not in files:
            yield f"{name}: {file} is not among the templates that are checked"
            continue
        has, given = files[file]["Parameters"], stack["Properties"]["Parameters"]
        for parameter in sorted(set(given) - set(has)):
            yield f"{name}: {file} has no parameter {parameter}"
        for parameter in sorted({parameter for parameter in has if "Default" not in has[parameter]} - set(given)):
            yield f"{name}: {file} is not given {parameter}"


def archive(files):
    """What is kept for good, and who writes it: Firehose alone, from the one stream into the one bucket."""
    resources = files["infra/archive.yaml"]["Resources"]
    bucket, role = resources["Bucket"], resources["Role"]["Properties"]
    for policy in ["DeletionPolicy", "UpdateReplacePolicy"]:
        if bucket.get(policy) != "Retain":
            yield f"Bucket: {policy} is not Retain"
    [rule] = bucket["Properties"].get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [{}])
    encrypted = {"SSEAlgorithm": {"Fn::If": ["HasKey", "aws:kms", "AES256"]}, "KMSMasterKeyID": OWN_KEY}
    if rule.get("ServerSideEncryptionByDefault") != encrypted:
        yield "Bucket: not encrypted, by KeyArn where there is one"
    blocked = bucket["Properties"].get("PublicAccessBlockConfiguration", {})
    if len(blocked) != 4 or set(blocked.values()) != {True}:
        yield "Bucket: public access is not blocked"
    own = [{"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/*"}, {"Ref": "StreamArn"}, {"Ref": "KeyArn"}]
    log = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${Logs}:log-stream:${LogStream}"
    for statement in statements({"Properties": role}):
        if any("*" in action for action in listed(statement["Action"])):
            yield f"Role of the archive: {statement['Action']} is a pattern"
        if statement["Resource"] not in [*own, {"Fn::Sub": log}]:
            yield f"Role of the archive: allowed on {json.dumps(statement['Resource'])}"
    for statement in role["AssumeRolePolicyDocument"]["Statement"]:
        if statement.get("Condition") != {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}:
            yield "Role of the archive: Firehose of another account may take it"


NESTED = ["infra/alarms.yaml", "infra/archive.yaml", "infra/dashboard.yaml"]


def check(source, files):
    template = transformed(source)
    resources = template["Resources"]
    for rule in [order, settings, policies, storage, tags]:
        yield from rule(resources, source["Parameters"])
    yield from interface(source)
    yield from nested(resources, files)
    yield from archive(files)
    yield from monitoring.check(source, files)


def breaks():
    """What --self-test breaks: a word for it, what the finding must say, and how it is broken."""

    def properties(source, name):
        return source["Resources"][name]["Properties"]

    def variables(source):
        return source["Globals"]["Function"]["Environment"]["Variables"]

    def tasks(source):
        return properties(source, "RefreshWorker")["Events"]["Tasks"]["Properties"]

    def tick(source):
        return properties(source, "RefreshScheduler")["Events"]["Tick"]["Properties"]

    def policy(source, role, condition):
        [found] = [p["Fn::If"] for p in properties(source, role)["Policies"] if p.get("Fn::If", [None])[0] == condition]
        return found

    def own(source, role):
        return properties(source, role)["Policies"][0]["PolicyDocument"]["Statement"]

    def first(source, role):
        return own(source, role)[0]

    def log(source, role):
        return own(source, role)[-1]

    def secrets(source, role):
        return own(source, role)[-2]

    def vpc(source, role):
        return policy(source, role, "IsInVpc")[1]["PolicyDocument"]["Statement"]

    def source_bucket(source):
        return policy(source, "DiscoveryWorkerRole", "HasSourceBucket")

    def kept(source, name):
        return source["nested"]["infra/archive.yaml"]["Resources"][name]["Properties"]

    def of_archive(source):
        return kept(source, "Role")["Policies"][0]["PolicyDocument"]["Statement"]

    def of_key(source, role):
        return policy(source, role, "HasKey")[1]["PolicyDocument"]["Statement"][0]

    yield "memory that the generated function can't have", r"^E\d+ at .*MemorySize", lambda s: properties(
        s, "RefreshWorker"
    ).update(MemorySize=1)
    yield "lease below the timeout", "not timeout 60 s < lease 50 s", lambda s: variables(s).update(
        REPLICANTE_LEASE="50s"
    )
    yield "lease above the visibility", "lease 180 s < visibility timeout 180 s", lambda s: variables(s).update(
        REPLICANTE_LEASE="3m"
    )
    yield "timeout above the lease", "not timeout 90 s < lease", lambda s: properties(s, "RefreshWorker").update(Timeout=90)
    yield "another visibility", "REPLICANTE_VISIBILITY_TIMEOUT is not the 200 s", lambda s: properties(
        s, "RefreshQueue"
    ).update(VisibilityTimeout=200)
    yield "a visibility that is too short", "less than three times", lambda s: properties(s, "DiscoveryQueue").update(
        VisibilityTimeout=170
    )
    yield "a window that is too long", "window 60 s .* reach the visibility", lambda s: s["Parameters"][
        "BatchingWindowSeconds"
    ].update(MaxValue=60)
    yield "another window", "its batching window is not", lambda s: tasks(s).update(MaximumBatchingWindowInSeconds=5)
    yield "a queue that can't be stopped", "worked off although Enabled", lambda s: tasks(s).pop("Enabled")
    yield "a schedule that can't be stopped", "fires although Enabled", lambda s: tick(s).pop("State")
    yield "a schedule with retries", "is tried again", lambda s: tick(s)["RetryPolicy"].update(MaximumRetryAttempts=2)
    yield "an invocation with retries", "is tried again", lambda s: properties(s, "RefreshScheduler")[
        "EventInvokeConfig"
    ].update(MaximumRetryAttempts=1)
    yield "batches of one", "a batch is not of 10", lambda s: tasks(s).update(BatchSize=1)
    yield "workers without number", "instead of RefreshConcurrency", lambda s: tasks(s).pop("ScalingConfig")
    yield "another's dead letters", "do not go to RefreshDeadLetters", lambda s: properties(s, "RefreshQueue")[
        "RedrivePolicy"
    ].update(deadLetterTargetArn={"Fn::GetAtt": ["DiscoveryDeadLetters", "Arn"]})
    yield "dead letters that go soon", "not kept for 14 days", lambda s: properties(s, "RefreshDeadLetters").pop(
        "MessageRetentionPeriod"
    )
    yield "nothing expires", "no time to live", lambda s: properties(s, "Table").pop("TimeToLiveSpecification")
    yield "stream of another mode", "Stream: not as StreamMode", lambda s: properties(s, "Stream").update(
        StreamModeDetails={"StreamMode": "ON_DEMAND"}
    )
    yield "stream of another size", "are not StreamShards", lambda s: properties(s, "Stream").update(ShardCount=1)
    yield "stream of a day", "not kept for StreamRetentionHours", lambda s: properties(s, "Stream").pop("RetentionPeriodHours")
    yield "snapshots that come too late", "takes the stream to be kept for 365d", lambda s: variables(s).update(
        REPLICANTE_STREAM_RETENTION="365d"
    )
    yield "logs for ever", "RefreshWorkerLogs: not kept for", lambda s: properties(s, "RefreshWorkerLogs").pop("RetentionInDays")
    yield "another processor", "not for Architecture", lambda s: s["Globals"]["Function"].update(Architectures=["x86_64"])
    yield "other receives", "REPLICANTE_MAX_RECEIVE_COUNT is not", lambda s: variables(s).update(
        REPLICANTE_MAX_RECEIVE_COUNT="3"
    )
    yield "another tick", "is not REPLICANTE_TICK", lambda s: variables(s).update(REPLICANTE_TICK="58s")
    yield "a pass longer than a tick", "longer than a tick", lambda s: variables(s).update(REPLICANTE_TICK="30s")
    yield "unknown setting", "REPLICANTE_SPEED is not in docs", lambda s: variables(s).update(REPLICANTE_SPEED="fast")
    yield "denied networks that are not passed on", "DENY_NETWORKS is not the parameter", lambda s: variables(s).pop(
        "REPLICANTE_DENY_NETWORKS"
    )
    yield "allowed ports in another's place", "ALLOW_PORTS is not the parameter", lambda s: variables(s).update(
        REPLICANTE_ALLOW_PORTS={"Ref": "DenyPorts"}
    )
    yield "setting left out", "REPLICANTE_TABLE is required", lambda s: variables(s).pop("REPLICANTE_TABLE")
    yield "whole batches fail", "without ReportBatchItemFailures", lambda s: tasks(s).pop("FunctionResponseTypes")
    yield "one action more", "dynamodb:Scan is not in the table", lambda s: first(s, "RefreshSchedulerRole").update(
        Action=["dynamodb:Query", "dynamodb:Scan"]
    )
    yield "one action less", "dynamodb:UpdateItem of the table .* is not allowed", lambda s: own(
        s, "RefreshSchedulerRole"
    ).pop(1)
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
    yield "objects without a bucket", "s3 is allowed on another condition than HasSourceBucket", lambda s: source_bucket(s).__setitem__(
        0, "IsInVpc"
    )
    yield "objects of the other worker", "RefreshWorkerRole: s3:GetObject is not in the table", lambda s: properties(
        s, "RefreshWorkerRole"
    )["Policies"].append({"Fn::If": source_bucket(s)})
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
    )[2].update(Resource=[{"Fn::GetAtt": ["DiscoveryQueue", "Arn"]}, {"Fn::GetAtt": ["RefreshQueue", "Arn"]}])
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
    yield "a policy where there is no VPC", "s3:GetObject is not in the table", lambda s: policy(
        s, "RefreshWorkerRole", "IsInVpc"
    ).__setitem__(
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
    yield "any key", "kms:Decrypt is allowed on a pattern", lambda s: of_key(s, "RefreshWorkerRole").update(Resource="*")
    yield "a key for code", "the key is not bounded to calls by dynamodb, sqs", lambda s: of_key(
        s, "RefreshSchedulerRole"
    ).pop("Condition")
    yield "a key for more", "kms:Encrypt is not in the table", lambda s: of_key(s, "DiscoveryWorkerRole")["Action"].append(
        "kms:Encrypt"
    )
    yield "a key without a key", "kms is allowed on another condition than HasKey", lambda s: policy(
        s, "DiscoverySchedulerRole", "HasKey"
    ).__setitem__(0, "IsInVpc")
    yield "table not retained", "Table: DeletionPolicy is not Retain", lambda s: s["Resources"]["Table"].pop("DeletionPolicy")
    yield "table by another key", "Table: not encrypted", lambda s: properties(s, "Table")["SSESpecification"].pop(
        "KMSMasterKeyId"
    )
    yield "table without a mode", "Table: not as TableMode", lambda s: properties(s, "Table").update(
        BillingMode="PAY_PER_REQUEST"
    )
    yield "stream in the clear", "Stream: not encrypted", lambda s: properties(s, "Stream").pop("StreamEncryption")
    yield "queue in the clear", "RefreshDeadLetters: not encrypted", lambda s: properties(s, "RefreshDeadLetters").pop(
        "SqsManagedSseEnabled"
    )
    yield "logs by another key", "RefreshWorkerLogs: not encrypted", lambda s: properties(s, "RefreshWorkerLogs").pop("KmsKeyId")
    yield "no tag", "RefreshQueue: without the tag", lambda s: properties(s, "RefreshQueue").pop("Tags")
    yield "a parameter in no group", "KeyArn: a parameter in 0 groups", lambda s: s["Metadata"][
        "AWS::CloudFormation::Interface"
    ]["ParameterGroups"][3]["Parameters"].remove("KeyArn")
    yield "a parameter without words", "without a description", lambda s: s["Parameters"]["Enabled"].pop("Description")
    yield "a parameter without bounds", "may have any value", lambda s: s["Parameters"]["TableMode"].pop("AllowedValues")
    yield "an output that is missing", "RefreshQueueUrl: an output", lambda s: s["Outputs"].pop("RefreshQueueUrl")
    yield "a nested parameter more", "has no parameter Colour", lambda s: properties(s, "Archive")["Parameters"].update(
        Colour="red"
    )
    yield "a nested parameter less", "is not given StreamArn", lambda s: properties(s, "Archive")["Parameters"].pop("StreamArn")
    yield "an archive in the clear", "Bucket: not encrypted", lambda s: kept(s, "Bucket").pop("BucketEncryption")
    yield "an archive for all", "public access", lambda s: kept(s, "Bucket").pop("PublicAccessBlockConfiguration")
    yield "an archive that goes with the stack", "Bucket: DeletionPolicy", lambda s: s["nested"]["infra/archive.yaml"][
        "Resources"
    ]["Bucket"].pop("DeletionPolicy")
    yield "an archive that may do anything", "is a pattern", lambda s: of_archive(s)[1].update(Action="s3:*")
    yield "an archive of any bucket", "Role of the archive: allowed on", lambda s: of_archive(s)[2].update(Resource="*")
    yield "an archive for strangers", "of another account", lambda s: kept(s, "Role")["AssumeRolePolicyDocument"]["Statement"][
        0
    ].pop("Condition")
    yield from ((word, expected, lambda s, damage=damage: damage(s["nested"])) for word, expected, damage in monitoring.breaks())


def self_test(source, files):
    unseen = []
    for word, expected, damage in breaks():
        broken = copy.deepcopy({**source, "nested": files})
        damage(broken)
        damaged = broken.pop("nested")
        # Linting is slow, and needed for what no rule of ours says.
        found = list(check(broken, damaged)) or lint(transformed(broken))
        said = next((finding for finding in found if re.search(expected, finding)), None)
        print(f"  {word}: {said or f'NOT FOUND, but {found}'}")
        if said is None:
            unseen.append(word)
    return unseen


def main():
    source = read("template.yaml")
    files = {file: read(file) for file in NESTED}
    problems = lint(transformed(source)) + list(check(source, files))
    for file, template in files.items():
        problems += [f"{file}: {problem}" for problem in lint(template)]
    for problem in problems:
        print(f"template.yaml: {problem}", file=sys.stderr)
    if problems:
        return 1
    print("template.yaml: transformed, linted, and as docs/settings.md, docs/security.md and docs/operations.md say")
    if "--self-test" in sys.argv[1:]:
        unseen = self_test(source, files)
        if unseen:
            print(f"not found: {', '.join(unseen)}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
