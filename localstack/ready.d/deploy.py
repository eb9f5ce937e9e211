"""LocalStack's init hook: when LocalStack is ready, creates what ../stack.py takes from the template.

LocalStack runs this in its own process, with its own packages. REPLICANTE_TEMPLATE names the template,
REPLICANTE_LOCALSTACK the folder of stack.py, REPLICANTE_ENDPOINT LocalStack's endpoint.
"""

import json
import os
import sys
import time

import boto3

sys.path.insert(0, os.environ["REPLICANTE_LOCALSTACK"])
import stack

NAME = "replicante-storage"
WITHIN = 120

# The SAM transform wants to have a region. LocalStack takes back what a hook sets here.
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
source = stack.read(os.environ["REPLICANTE_TEMPLATE"])
part = stack.part(source)
session = boto3.Session("000000000000", "local")
client = {
    service: session.client(service, endpoint_url=os.environ["REPLICANTE_ENDPOINT"])
    for service in ["cloudformation", "dynamodb", "kinesis"]
}


def finished(calls, states, state):
    """Waits until `state` is among `states`, and fails when it is another that no longer changes."""
    end = time.monotonic() + WITHIN
    while True:
        now = calls()
        if now in states:
            return
        if not now.endswith(state) or time.monotonic() > end:
            raise RuntimeError(f"{NAME}: {now}")
        time.sleep(0.2)


client["cloudformation"].create_stack(StackName=NAME, TemplateBody=json.dumps(part))


def stack_status():
    return client["cloudformation"].describe_stacks(StackName=NAME)["Stacks"][0]["StackStatus"]


finished(stack_status, ["CREATE_COMPLETE"], "_IN_PROGRESS")

# What LocalStack's CloudFormation takes without a word, and does not do (4.13.1).
resolve = stack.Resolver(source).value
created = client["cloudformation"].describe_stack_resources(StackName=NAME)["StackResources"]
for resource in created:
    name = resource["PhysicalResourceId"]
    given = resolve(part["Resources"][resource["LogicalResourceId"]].get("Properties", {}))
    if resource["ResourceType"] == "AWS::Kinesis::Stream":

        def stream_status(name=name):
            return client["kinesis"].describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamStatus"]

        hours = int(given.get("RetentionPeriodHours", 24))
        if hours > 24:
            client["kinesis"].increase_stream_retention_period(StreamName=name, RetentionPeriodHours=hours)
            finished(stream_status, ["ACTIVE"], "ING")
        if "StreamEncryption" in given:
            client["kinesis"].start_stream_encryption(StreamName=name, **given["StreamEncryption"])
            finished(stream_status, ["ACTIVE"], "ING")
        if "Tags" in given:
            tags = {tag["Key"]: tag["Value"] for tag in given["Tags"]}
            client["kinesis"].add_tags_to_stream(StreamName=name, Tags=tags)
    elif resource["ResourceType"] == "AWS::DynamoDB::Table" and "PointInTimeRecoverySpecification" in given:
        client["dynamodb"].update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification=given["PointInTimeRecoverySpecification"]
        )
print(f"{NAME}: created {len(created)} resources of the template")
