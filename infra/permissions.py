#!/usr/bin/env python3
"""Holds the roles of template.yaml against what the functions were seen to ask, in both directions.

The test `permissions` of replicante-tests drives the four functions through all that they do and writes down each call:
function, action, resource, partition key. The parts of a transaction stand by themselves, as IAM looks at them.

1. Each of these calls is allowed to its function, by its role, with the template's conditions worked out.
2. Each action, resource and key pattern that a role allows was used, or stands in PLATFORM. Nothing beside what was used
   is allowed with it: another table, another parameter, another partition.
3. No call on the table is allowed without a key.
4. Without a bucket named, no object of S3 is allowed; without optional parameters, all the rest is.

`--self-test` takes each single permission from each role, gives each role those of the others and a few more, and
fails unless each of these is found. Run it by infra/permissions.sh.
"""

import copy
import json
import re
import sys
from pathlib import Path

from template import FUNCTIONS, Deployed, listed, read, transformed

WORKERS = ["DiscoveryWorker", "RefreshWorker"]
# What a role allows although no code of ours asks for it: to whom, and why.
PLATFORM = {
    r"logs:(CreateLogStream|PutLogEvents)": (FUNCTIONS, "Lambda writes what a function prints"),
    r"sqs:(ReceiveMessage|DeleteMessage|GetQueueAttributes)": (WORKERS, "Lambda polls the queue"),
    r"kms:(Decrypt|GenerateDataKey)": (FUNCTIONS, "table, queues and stream ask for it; the embedded ones know no keys"),
    r"ec2:(CreateNetworkInterface|DeleteNetworkInterface|DescribeNetworkInterfaces|DescribeSubnets"
    r"|AssignPrivateIpAddresses|UnassignPrivateIpAddresses)": (WORKERS, "Lambda makes a function's interfaces in a VPC"),
}
KEY = "arn:aws:kms:us-east-1:000000000000:key/0f3c1f66-1d9b-4c9e-9c47-1d2f0a5e7b10"
EVERYTHING = {
    "KeyArn": KEY,
    "SourceBucket": "inventory",
    "SubnetIds": ["subnet-1"],
    "SecurityGroupIds": ["sg-1"],
}


def recorded(path):
    """The names of what the template creates, and the calls."""
    first, *lines = (json.loads(line) for line in Path(path).read_text().splitlines())
    for line in lines:
        line["function"] = "".join(part.capitalize() for part in line["function"].split("-"))
    return first["names"], lines


def like(pattern, text):
    """Whether a text fits a pattern of IAM: * and ? alone have a meaning."""
    return re.fullmatch("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern), text, re.DOTALL) is not None


def holds(condition, context):
    """Whether a statement's condition holds. An operator that is not known here fails the check."""
    for operator, keys in condition.items():
        for key, wanted in keys.items():
            wanted, found = listed(wanted), context.get(key, [])
            if operator == "Null":
                held = (not found) == (wanted == ["true"])
            elif operator == "ForAllValues:StringLike":
                held = all(any(like(pattern, value) for pattern in wanted) for value in found)
            elif operator in ("ArnLike", "StringEquals"):
                held = any(like(pattern, value) for pattern in wanted for value in found)
            else:
                raise ValueError(f"the operator {operator} is not worked out by this check")
            if not held:
                return False
    return True


def statements(deployed, function):
    role = deployed.template["Resources"][function]["Properties"]["Role"]["Fn::GetAtt"][0]
    for policy in deployed.properties(role)["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def allows(granted, function, action, resource, key):
    """What IAM says to a call of a function's code: a denial goes before all else."""
    context = {"lambda:SourceFunctionArn": [f"arn:aws:lambda:us-east-1:000000000000:function:{function}"]}
    if key is not None:
        context["dynamodb:LeadingKeys"] = [key]
    effects = {
        statement["Effect"]
        for statement in granted
        if any(like(pattern, action) for pattern in listed(statement["Action"]))
        and any(like(pattern, resource) for pattern in listed(statement["Resource"]))
        and holds(statement.get("Condition", {}), context)
    }
    return effects == {"Allow"}


def platform(function, action):
    return any(re.fullmatch(pattern, action) and function in of for pattern, (of, _) in PLATFORM.items())


def grants(statement):
    """Each action, resource and key pattern of a statement."""
    keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", [None])
    for action in listed(statement["Action"]):
        for resource in listed(statement["Resource"]):
            for key in listed(keys):
                yield action, resource, key


def used(calls, function, action, resource, key):
    return any(
        call["function"] == function
        and call["action"] == action
        and like(resource, call["resource"])
        and (key is None or (call["key"] is not None and like(key, call["key"])))
        for call in calls
    )


def beside(call):
    """What lies beside what was asked: a neighbour of the resource, a partition of no name."""
    head, separator, name = call["resource"].rpartition(":")
    path = name.split("/")
    others = {
        "s3": f"other-{name}",
        "ssm": "parameter/other/" + path[-1],
        "sqs": f"{name}-other",
    }
    service = call["action"].split(":")[0]
    yield head + separator + others.get(service, "/".join([*path[:-1], path[-1] + "-other"])), call["key"]
    if call["key"] is not None:
        yield call["resource"], "other#" + call["key"]


def show(action, resource, key):
    return f"{action} on {resource}" + (f", key {key}" if key is not None else "")


def check(template, names, calls):
    deployed = Deployed(template, EVERYTHING, names)
    for function in FUNCTIONS:
        granted = list(statements(deployed, function))
        for call in calls:
            asked = (call["action"], call["resource"], call["key"])
            if call["function"] != function:
                continue
            if not allows(granted, function, *asked):
                yield f"{function} asks for {show(*asked)}, and its role does not allow it"
            for resource, key in beside(call):
                if allows(granted, function, call["action"], resource, key):
                    yield f"{function} is allowed {show(call['action'], resource, key)}, beside what it asks for"
        for statement in granted:
            if statement["Effect"] != "Allow":
                continue
            for grant in grants(statement):
                if not platform(function, grant[0]) and not used(calls, function, *grant):
                    yield f"{function} is allowed {show(*grant)}, and never asks for it"
        for action in sorted({call["action"] for call in calls if call["action"].startswith("dynamodb:")}):
            if allows(granted, function, action, deployed.arn("Table"), None):
                yield f"{function} is allowed {action} without a key"
    plain = Deployed(template, {}, names)
    for call in calls:
        if call["function"] in FUNCTIONS:
            granted = list(statements(plain, call["function"]))
            asked = (call["action"], call["resource"], call["key"])
            allowed = allows(granted, call["function"], *asked)
            if call["action"] == "s3:GetObject" and allowed:
                yield f"{call['function']} is allowed {show(*asked)} where SourceBucket names none"
            elif call["action"] != "s3:GetObject" and not allowed:
                yield f"{call['function']} asks for {show(*asked)}, not allowed without the optional parameters"
    for function in {call["function"] for call in calls} - set(FUNCTIONS):
        yield f"{function} is no function of the template"
    for function in set(FUNCTIONS) - {call["function"] for call in calls}:
        yield f"{function} asked for nothing: the record is not whole"


def single(template, function):
    """Where each single permission of a role stands: statement, what it is of, and which."""
    role = template["Resources"][f"{function}Role"]["Properties"]
    for policy in role["Policies"]:
        for branch in policy["Fn::If"][1:] if "Fn::If" in policy else [policy]:
            for statement in branch.get("PolicyDocument", {}).get("Statement", []):
                if statement["Effect"] != "Allow":
                    continue
                for action in listed(statement["Action"]):
                    yield statement, "Action", action
                keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {})
                for key in listed(keys.get("dynamodb:LeadingKeys", [])):
                    yield statement, "key", key


def without(template, function, number):
    """The template without one permission of a role, and which that was."""
    template = copy.deepcopy(template)
    statement, what, which = list(single(template, function))[number]
    if what == "Action":
        statement["Action"] = [action for action in listed(statement["Action"]) if action != which]
    else:
        keys = statement["Condition"]["ForAllValues:StringLike"]
        left = [key for key in listed(keys["dynamodb:LeadingKeys"]) if key != which]
        # A list of none would hold for any key.
        keys["dynamodb:LeadingKeys"] = left or ["none"]
    return template, which


def with_more(template, function, statement):
    template = copy.deepcopy(template)
    own = template["Resources"][f"{function}Role"]["Properties"]["Policies"][0]
    own["PolicyDocument"]["Statement"].append(statement)
    return template


def more(template, function):
    """Permissions that a role does not have: those of the other roles, and a few that nobody has."""
    table = {"Fn::GetAtt": ["Table", "Arn"]}
    guard = {"Null": {"dynamodb:LeadingKeys": "false"}}
    own = {json.dumps([s["Resource"], w], sort_keys=True) for s, _, w in single(template, function)}
    for other in FUNCTIONS:
        for statement, what, which in single(template, other):
            if json.dumps([statement["Resource"], which], sort_keys=True) in own or platform(function, which):
                continue
            one = copy.deepcopy(statement)
            if what == "Action":
                one["Action"] = [which]
            else:
                one["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] = [which]
            yield one
    for action in ["dynamodb:Scan", "dynamodb:BatchWriteItem", "dynamodb:DeleteTable"]:
        keys = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*"]}}
        yield {"Effect": "Allow", "Action": action, "Resource": table, "Condition": {**keys, **guard}}
    for action, resource in [("kinesis:PutRecord", "Stream"), ("kinesis:GetRecords", "Stream"), ("sqs:PurgeQueue", "RefreshQueue")]:
        yield {"Effect": "Allow", "Action": action, "Resource": {"Fn::GetAtt": [resource, "Arn"]}}
    yield {"Effect": "Allow", "Action": "dynamodb:*", "Resource": table}
    keys = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*"]}}
    for action in ["dynamodb:Query", "dynamodb:UpdateItem"]:
        yield {"Effect": "Allow", "Action": action, "Resource": table, "Condition": {**keys, **guard}}
    yield {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}


def self_test(template, names, calls):
    missed, taken, given, spared = [], 0, 0, 0
    for function in FUNCTIONS:
        for number in range(len(list(single(template, function)))):
            broken, which = without(template, function, number)
            found = [line for line in check(broken, names, calls) if line.startswith(f"{function} asks for")]
            if platform(function, which):
                spared += 1
            elif found:
                taken += 1
                if taken % 12 == 1:
                    print(f"  without {which}: {found[0]}")
            else:
                missed.append(f"{function} without {which}")
        for statement in more(template, function):
            found = list(check(with_more(template, function, statement), names, calls))
            shown = next((line for line in found if line.startswith(f"{function}") and "allowed" in line), None)
            if shown:
                given += 1
                if given % 25 == 1:
                    print(f"  with more: {shown}")
            else:
                missed.append(f"{function} with {json.dumps(statement)}")
    print(f"  {taken} single permissions taken away, {given} given: each found. {spared} of the platform's can't be seen")
    return missed


def main():
    names, calls = recorded(sys.argv[1])
    template = transformed(read("template.yaml"))
    problems = list(check(template, names, calls))
    for problem in problems:
        print(f"template.yaml: {problem}", file=sys.stderr)
    if problems:
        return 1
    kinds = {(call["function"], call["action"]) for call in calls}
    print(f"template.yaml: the roles allow the {len(calls)} calls that were seen ({len(kinds)} actions of functions), and no more")
    if "--self-test" in sys.argv[2:]:
        missed = self_test(template, names, calls)
        for line in missed:
            print(f"not found: {line}", file=sys.stderr)
        if missed:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
