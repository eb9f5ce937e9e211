#!/usr/bin/env python3
"""Compares what the hook created on LocalStack with template.yaml, as infra/lint.py transforms it.

Each property of the table, the stream, the queues and the rules is looked up in what the services themselves describe.
A property that this does not know how to look up is a finding too: nothing is passed over.

--environment FILE  writes the functions' environment, as CloudFormation worked it out, for a shell to read
--ticks SECONDS     waits until every rule has fired into its queue
--used              fails when nothing was written to the table or the stream
--self-test         breaks a copy of the template, one property at a time, and fails unless that is found

Run it by localstack/run.sh. The endpoint is AWS_ENDPOINT_URL.
"""

import argparse
import copy
import json
import os
import shlex
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "infra"), str(ROOT / "localstack")]

import boto3  # noqa: E402
import lint  # noqa: E402
import stack  # noqa: E402

NAME = "replicante-storage"
# Lists whose order says nothing.
UNORDERED = ["AttributeDefinitions", "Tags", "Targets"]
# Of a stream that is not encrypted.
ENCRYPTION = {"EncryptionType": "NONE", "KeyId": None}


def client(service):
    return boto3.client(service, "us-east-1", aws_access_key_id="000000000000", aws_secret_access_key="local")


def described_table(name):
    """What a table is, in the words of the template."""
    dynamodb = client("dynamodb")
    table = dynamodb.describe_table(TableName=name)["Table"]
    lives = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    encryption = table.get("SSEDescription", {})
    return {
        "BillingMode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "AttributeDefinitions": table["AttributeDefinitions"],
        "KeySchema": table["KeySchema"],
        "TimeToLiveSpecification": {
            "AttributeName": lives.get("AttributeName"),
            "Enabled": lives["TimeToLiveStatus"] == "ENABLED",
        },
        "SSESpecification": {
            "SSEEnabled": encryption.get("Status") == "ENABLED",
            "SSEType": encryption.get("SSEType"),
            "KMSMasterKeyId": encryption.get("KMSMasterKeyArn"),
        },
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": recovery},
        "ProvisionedThroughput": table.get("ProvisionedThroughput"),
        "Tags": dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"],
    }


def described_stream(name):
    """What a stream is, in the words of the template."""
    stream = client("kinesis").describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    return {
        "StreamModeDetails": stream["StreamModeDetails"],
        "ShardCount": stream["OpenShardCount"],
        "RetentionPeriodHours": stream["RetentionPeriodHours"],
        "StreamEncryption": {key: stream.get(key, default) for key, default in ENCRYPTION.items()},
        "Tags": client("kinesis").list_tags_for_stream(StreamName=name)["Tags"],
    }


def described_queue(url):
    """A queue's attributes have the names of its properties."""
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    tags = client("sqs").list_queue_tags(QueueUrl=url).get("Tags", {})
    described = {name: json.loads(value) if name == "RedrivePolicy" else value for name, value in attributes.items()}
    return {**described, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def described_rule(name):
    """What a rule is, in the words of the template. Its targets are not the template's, but their queues."""
    events = client("events")
    # Of a rule on the default bus, CloudFormation may name bus and rule.
    name = name.split("|")[-1]
    rule = events.describe_rule(Name=name)
    targets = events.list_targets_by_rule(Rule=name)["Targets"]
    return {"ScheduleExpression": rule["ScheduleExpression"], "State": rule["State"], "Targets": targets}


DESCRIBED = {
    "AWS::DynamoDB::Table": described_table,
    "AWS::Kinesis::Stream": described_stream,
    "AWS::SQS::Queue": described_queue,
    stack.RULE: described_rule,
}


def created():
    """What stands in the hook's stack: each resource's type, physical name and description by its logical name."""
    resources = client("cloudformation").describe_stack_resources(StackName=NAME)["StackResources"]
    return {
        resource["LogicalResourceId"]: {
            "Type": resource["ResourceType"],
            "Name": resource["PhysicalResourceId"],
            "Properties": DESCRIBED[resource["ResourceType"]](resource["PhysicalResourceId"]),
        }
        for resource in resources
    }


def expected(source):
    """What must stand there: of the transformed template, each resource's type and properties."""
    whole = lint.transformed(source)
    value = stack.Resolver(source).value
    resources = {
        name: {"Type": resource["Type"], "Properties": value(resource["Properties"])}
        for name, resource in whole["Resources"].items()
        if resource["Type"] in DESCRIBED
    }
    for name, resource in list(resources.items()):
        if resource["Type"] == stack.RULE:
            for target in resource["Properties"]["Targets"]:
                target["Arn"] = {"Fn::GetAtt": [name + stack.TICKS, "Arn"]}
            resources[name + stack.TICKS] = {"Type": "AWS::SQS::Queue", "Properties": {}}
    return resources


def plain(value, found):
    """A value to compare: texts instead of numbers and truth, and the ARN that is meant by Fn::GetAtt."""
    if isinstance(value, dict):
        if list(value) == ["Fn::GetAtt"]:
            name, attribute = value["Fn::GetAtt"]
            return found.get(name, {}).get("Properties", {}).get("Queue" + attribute, f"no {attribute} of {name}")
        return {key: plain(inner, found) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner, found) for inner in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def differences(wanted, found):
    for name in sorted(set(found) - set(wanted)):
        yield f"{name}: created, and not in the template"
    for name, resource in wanted.items():
        if name not in found:
            yield f"{name}: not created"
            continue
        if resource["Type"] != found[name]["Type"]:
            yield f"{name}: a {found[name]['Type']} instead of a {resource['Type']}"
            continue
        for property, value in resource["Properties"].items():
            there = plain(found[name]["Properties"].get(property, ""), found)
            value = plain(value, found)
            if property in UNORDERED:
                value, there = (sorted(inner, key=json.dumps) for inner in (value, there or []))
            if isinstance(value, dict) and isinstance(there, dict):
                # What the template leaves to the service is not compared.
                there = {key: inner for key, inner in there.items() if key in value}
            if property not in found[name]["Properties"]:
                yield f"{name}: {property} is not compared with anything"
            elif there != value:
                yield f"{name}: {property} is {json.dumps(there)} instead of {json.dumps(value)}"


def breaks():
    """What --self-test breaks: what the finding must begin with, and how the template is broken."""

    def change(name, property, value):
        return lambda source: source["Resources"][name]["Properties"].update({property: value})

    def schedule(source):
        source["Resources"]["RefreshScheduler"]["Properties"]["Events"]["Tick"]["Properties"]["Schedule"] = "rate(2 minutes)"

    def unscheduled(source):
        del source["Resources"]["DiscoveryScheduler"]["Properties"]["Events"]["Tick"]

    def another_queue(source):
        source["Resources"]["OtherQueue"] = {"Type": "AWS::SQS::Queue", "Properties": {}}

    def parameter(name, value):
        return lambda source: source["Parameters"][name].update(Default=value)

    def redrive(queue, receives):
        return {"deadLetterTargetArn": {"Fn::GetAtt": [queue, "Arn"]}, "maxReceiveCount": receives}

    keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "other", "KeyType": "RANGE"}]
    yield "Table: KeySchema", change("Table", "KeySchema", keys)
    yield "Table: AttributeDefinitions", change("Table", "AttributeDefinitions", [{"AttributeName": "pk", "AttributeType": "S"}])
    yield "Table: BillingMode", change("Table", "BillingMode", "PROVISIONED")
    yield "Table: TimeToLive", change("Table", "TimeToLiveSpecification", {"AttributeName": "other", "Enabled": True})
    yield "Table: SSE", change("Table", "SSESpecification", {"SSEEnabled": False})
    yield "Table: PointInTime", change("Table", "PointInTimeRecoverySpecification", {"PointInTimeRecoveryEnabled": False})
    yield "Table: Tags", change("Table", "Tags", [{"Key": "other", "Value": "of"}])
    yield "Stream: Tags", change("Stream", "Tags", [{"Key": "other", "Value": "of"}])
    yield "RefreshQueue: Tags", change("RefreshQueue", "Tags", [{"Key": "other", "Value": "of"}])
    yield "Table: SSE", change("Table", "SSESpecification", {"SSEEnabled": True, "SSEType": "AES256"})
    yield "Table: Unheard is not compared", change("Table", "Unheard", "of")
    yield "Stream: ShardCount", parameter("StreamShards", 2)
    yield "Stream: StreamMode", parameter("StreamMode", "ON_DEMAND")
    yield "Stream: Retention", parameter("StreamRetentionHours", 24)
    yield "Stream: StreamEncryption", change("Stream", "StreamEncryption", {"EncryptionType": "KMS", "KeyId": "alias/other"})
    yield "RefreshQueue: VisibilityTimeout", change("RefreshQueue", "VisibilityTimeout", 200)
    yield "RefreshQueue: SqsManagedSseEnabled", change("RefreshQueue", "SqsManagedSseEnabled", False)
    yield "RefreshQueue: RedrivePolicy", change("RefreshQueue", "RedrivePolicy", redrive("RefreshDeadLetters", 3))
    yield "RefreshQueue: RedrivePolicy", change("RefreshQueue", "RedrivePolicy", redrive("DiscoveryDeadLetters", 5))
    yield "DiscoveryDeadLetters: MessageRetention", change("DiscoveryDeadLetters", "MessageRetentionPeriod", 345600)
    yield "RefreshSchedulerTick: ScheduleExpression", schedule
    yield "DiscoverySchedulerTick: created", unscheduled
    yield "OtherQueue: not created", another_queue


def self_test(source, found):
    unseen = 0
    for expects, damage in breaks():
        broken = copy.deepcopy(source)
        damage(broken)
        told = list(differences(expected(broken), found))
        said = next((finding for finding in told if finding.startswith(expects)), None)
        print(f"  broken: {said or f'{expects}: NOT FOUND, but {told}'}")
        unseen += said is None
    return unseen


def environment(source, path):
    """The functions' environment, one `export` a line."""
    described = client("cloudformation").describe_stacks(StackName=NAME)["Stacks"][0]
    values = {output["OutputKey"]: output.get("OutputValue", "") for output in described["Outputs"]}
    lines = [
        f"export {variable}={shlex.quote(values[output])}\n"
        for variable, (output, _) in stack.variables(source).items()
        if output in values
    ]
    Path(path).write_text("".join(lines))


def ticks(found, seconds):
    """Waits for one event of each rule. Yields what did not come."""
    sqs, end, start = client("sqs"), time.monotonic() + seconds, time.monotonic()
    for rule, resource in found.items():
        if resource["Type"] != stack.RULE:
            continue
        while time.monotonic() < end:
            messages = sqs.receive_message(QueueUrl=found[rule + stack.TICKS]["Name"], WaitTimeSeconds=1)
            if "Messages" not in messages:
                continue
            event = json.loads(messages["Messages"][0]["Body"])
            seen = (event["source"], event["detail-type"], event["resources"][0].split("/")[-1])
            if seen == ("aws.events", "Scheduled Event", resource["Name"].split("|")[-1]):
                print(f"  {rule} fired at {event['time']}; seen after {time.monotonic() - start:.0f} s more")
                break
            yield f"{rule}: its queue got {json.dumps(event)}"
            break
        else:
            yield f"{rule}: did not fire within {seconds} s"


def used(found):
    """Yields what nothing was written to."""
    for name, resource in found.items():
        if resource["Type"] == "AWS::DynamoDB::Table":
            count = client("dynamodb").scan(TableName=resource["Name"], Select="COUNT")["Count"]
        elif resource["Type"] == "AWS::Kinesis::Stream":
            count = records(resource["Name"])
        else:
            continue
        print(f"  {name}: {count} {'records' if 'Kinesis' in resource['Type'] else 'items'}")
        if not count:
            yield f"{name}: nothing was written to it"


def records(stream):
    """How many records are at the start of the stream's shards."""
    kinesis, count = client("kinesis"), 0
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        start = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(StreamName=stream, **start)["ShardIterator"]
        count += len(kinesis.get_records(ShardIterator=iterator)["Records"])
    return count


def main():
    arguments = argparse.ArgumentParser(description="Compares LocalStack with template.yaml.")
    arguments.add_argument("--environment", metavar="FILE")
    arguments.add_argument("--ticks", metavar="SECONDS", type=int)
    arguments.add_argument("--used", action="store_true")
    arguments.add_argument("--self-test", action="store_true")
    given = arguments.parse_args()

    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    source = stack.read(ROOT / "template.yaml")
    found = created()
    wanted = expected(source)
    problems = list(differences(wanted, found))
    if not problems:
        count = sum(len(resource["Properties"]) for resource in wanted.values())
        print(f"LocalStack has {len(wanted)} resources of template.yaml, {count} properties as it says")
    if given.environment:
        environment(source, given.environment)
    if given.used:
        problems += used(found)
    if given.ticks:
        problems += ticks(found, given.ticks)
    if given.self_test and not problems and self_test(source, found):
        problems.append("a template that was broken passed")
    for problem in problems:
        print(f"LocalStack: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
