"""Checks of alarms and dashboard.

1. A metric of ours is one that docs/metrics.md names, of a function that reports it, in the one set of dimensions; one
   of AWS's is of something that the stack has.
2. Each alarm has its section in docs/operations.md, and each section its alarm.
3. Each dead-letter queue, queue, scheduler and function has the alarms that it needs, and each alarm goes to the topic.
4. The dashboard is JSON, and its widgets do not lie on each other.
"""

import json
import re

from template import PSEUDO, ROOT

KINDS = ["Discovery", "Refresh"]
PARTS = [f"{kind}{part}" for part in ["Scheduler", "Worker"] for kind in KINDS]
REQUIRED = [
    *[f"{kind}{what}" for kind in KINDS for what in ["DeadLettersNotEmpty", "QueueOld", "SchedulerNotRun", "SchedulerLate", "EventsOwed"]],
    *[f"{part}{what}" for part in PARTS for what in ["Errors", "Throttles"]],
    *["TableReadThrottles", "TableWriteThrottles", "StreamThrottles", "ShrinkHeld", "ObserverSuspect", "ArchiveBehind"],
]
# Where AWS's own metrics are, and by what they are told apart.
AWS = {
    "AWS/SQS": {"QueueName"},
    "AWS/Lambda": {"FunctionName"},
    "AWS/DynamoDB": {"TableName"},
    "AWS/Kinesis": {"StreamName"},
    "AWS/Firehose": {"DeliveryStreamName"},
}
TO_TOPIC = {"Fn::If": ["HasTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}


def documented_metrics():
    """Each metric of docs/metrics.md, and the functions that report it: rows of `name`, unit, functions."""
    text = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| ([a-z, -]+) \|", text, re.MULTILINE)
    return {name: functions.split(", ") for name, functions in rows}


def sections():
    """The alarms that docs/operations.md speaks of: the headings below `## Alarms`."""
    text = (ROOT / "docs/operations.md").read_text().split("\n## Alarms\n", 1)[1].split("\n## ", 1)[0]
    return [name for line in re.findall(r"^### (.+)$", text, re.MULTILINE) for name in line.split(", ")]


def alarms(files):
    for template in files.values():
        for name, resource in template["Resources"].items():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                yield name, resource["Properties"]


def metric(where, namespace, name, dimensions):
    if namespace == "Replicante":
        if sorted(dimensions) != ["Deployment", "Function"]:
            yield f"{where}: {name} is reported by Deployment and Function, not by {sorted(dimensions)}"
        elif dimensions["Function"] not in documented_metrics().get(name, []):
            yield f"{where}: docs/metrics.md has no {name} of {dimensions['Function']}"
    elif namespace not in AWS:
        yield f"{where}: the namespace {namespace} is not known"
    elif set(dimensions) != AWS[namespace]:
        yield f"{where}: {name} is reported by {sorted(AWS[namespace])}, not by {sorted(dimensions)}"


def widgets(files):
    body = files["infra/dashboard.yaml"]["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    known = {**PSEUDO, **{name: name for name in files["infra/dashboard.yaml"]["Parameters"]}}
    return json.loads(re.sub(r"\$\{(.+?)\}", lambda match: known[match[1]], body))["widgets"]


def dashboard(files):
    try:
        shown = widgets(files)
    except (KeyError, ValueError) as error:
        yield f"Dashboard: its body is no JSON with the stack's names: {error!r}"
        return
    taken = set()
    for widget in shown:
        title = widget["properties"]["title"]
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        if cells & taken or widget["x"] + widget["width"] > 24:
            yield f"Dashboard: {title} lies on another widget, or beyond the edge"
        taken |= cells
        for namespace, name, *rest in widget["properties"]["metrics"]:
            words = [word for word in rest if isinstance(word, str)]
            yield from metric(f"Dashboard, {title}", namespace, name, dict(zip(words[::2], words[1::2])))


def check(_, files):
    found = dict(alarms(files))
    for name in sorted(set(REQUIRED) - set(found)):
        yield f"{name}: there is no such alarm"
    for name, alarm in found.items():
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}
        yield from metric(name, alarm["Namespace"], alarm["MetricName"], dimensions)
        for actions in ["AlarmActions", "OKActions"]:
            if alarm.get(actions) != TO_TOPIC:
                yield f"{name}: {actions} is not the topic"
        if (alarm["TreatMissingData"] == "breaching") != name.endswith("NotRun"):
            yield f"{name}: silence is an alarm of what has not run, and of nothing else"
    told = sections()
    for name in sorted(set(found) - set(told)):
        yield f"{name}: docs/operations.md has no section for it"
    for name in told:
        if name not in found or told.count(name) > 1:
            yield f"{name}: docs/operations.md has a section, and there is no such alarm or another section"
    yield from dashboard(files)


def breaks():
    """What --self-test of lint.py breaks in the nested templates."""

    def alarm(files, name):
        return files["infra/alarms.yaml"]["Resources"][name]["Properties"]

    def body(files, old, new):
        given = files["infra/dashboard.yaml"]["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
        given["Fn::Sub"] = given["Fn::Sub"].replace(old, new)

    yield "an alarm of an unknown metric", "docs/metrics.md has no Moons", lambda f: alarm(f, "ShrinkHeld").update(MetricName="Moons")
    yield "an alarm by another dimension", "not by .'Cluster'", lambda f: alarm(f, "ShrinkHeld").update(
        Dimensions=[{"Name": "Cluster", "Value": "zk"}]
    )
    yield "an alarm of no function", "no OldestDue of refresh-moon", lambda f: alarm(f, "RefreshSchedulerLate")["Dimensions"][
        1
    ].update(Value="refresh-moon")
    yield "an alarm that is missing", "StreamThrottles: there is no such alarm", lambda f: f["infra/alarms.yaml"]["Resources"].pop(
        "StreamThrottles"
    )
    yield "an alarm without a section", "Moon: docs/operations.md has no section", lambda f: f["infra/alarms.yaml"][
        "Resources"
    ].update(Moon=f["infra/alarms.yaml"]["Resources"]["ShrinkHeld"])
    yield "a section without an alarm", "ArchiveBehind: docs/operations.md has a section", lambda f: f["infra/archive.yaml"][
        "Resources"
    ].pop("ArchiveBehind")
    yield "an alarm that tells nobody", "AlarmActions is not the topic", lambda f: alarm(f, "ShrinkHeld").pop("AlarmActions")
    yield "a silence that is no alarm", "silence is an alarm", lambda f: alarm(f, "RefreshSchedulerNotRun").update(
        TreatMissingData="notBreaching"
    )
    yield "a dashboard of an unknown metric", "docs/metrics.md has no Moons", lambda f: body(f, '"AgentsPolled"', '"Moons"')
    yield "a dashboard that is no JSON", "no JSON", lambda f: body(f, "}", "")
    yield "a dashboard of another's names", "no JSON with the stack's names", lambda f: body(f, "${TableName}", "${Moon}")
    yield "widgets on each other", "lies on another widget", lambda f: body(f, '"x": 8, "y": 6', '"x": 0, "y": 6')
