"""What LocalStack is given of template.yaml: its storage and its schedules, and not a line besides.

Lambda needs Docker, and roles, alarms and logs are looked at by nobody here. So this keeps the table, the stream and
the queues of the template, and the rules that the SAM transform makes of its schedules. A rule's target is a queue of
its own instead of a function: what it fires can be seen there. Parameters have their defaults.

The hook (ready.d/deploy.py) creates it; check.py compares what was created with the template.
"""

import copy
import logging

from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# The transform counts what it does for a service that is not used here, and complains that nobody asks.
logging.getLogger("samtranslator.metrics.metrics").setLevel(logging.ERROR)

STORAGE = {"AWS::DynamoDB::Table", "AWS::Kinesis::Stream", "AWS::SQS::Queue"}
RULE = "AWS::Events::Rule"
FUNCTION = "AWS::Serverless::Function"
# Behind the name of a rule: the queue that gets what it fires.
TICKS = "Ticks"


class NoPolicies(ManagedPolicyLoader):
    """The template uses no managed policies: nobody is asked for a list."""

    def __init__(self):
        super().__init__(None)

    def load(self):
        return {}


def read(path):
    with open(path, encoding="utf-8") as file:
        return yaml_parse(file.read())


def defaults(source):
    """The template's parameters. One without a default is nothing that can be made up here."""
    missing = [name for name, given in source.get("Parameters", {}).items() if "Default" not in given]
    if missing:
        raise ValueError(f"parameters without a default: {', '.join(missing)}")
    return {name: given["Default"] for name, given in source.get("Parameters", {}).items()}


def transformed(source):
    """The template as CloudFormation sees it. The transform knows only code that was uploaded."""
    source = copy.deepcopy(source)
    for name, resource in source["Resources"].items():
        if resource["Type"] == FUNCTION:
            resource["Properties"]["CodeUri"] = f"s3://bucket/{name}"
    return transform(source, defaults(source), NoPolicies())


def variables(source):
    """The functions' environment: each variable's output and value."""
    given = source["Globals"]["Function"]["Environment"]["Variables"]
    return {variable: ("Variable" + variable.replace("_", ""), value) for variable, value in given.items()}


def named(value):
    """The names that a value refers to, by Ref, Fn::GetAtt or Fn::Sub."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner.split(".")[0] if isinstance(inner, str) else inner[0]
            elif key == "Fn::Sub":
                text = inner if isinstance(inner, str) else inner[0]
                yield from (part.split("}")[0].split(".")[0] for part in text.split("${")[1:])
                yield from named(inner[1:] if isinstance(inner, list) else [])
            else:
                yield from named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner)


def part(source):
    """The part of the template that is created: plain CloudFormation."""
    whole = transformed(source)
    kept = {name: resource for name, resource in whole["Resources"].items() if resource["Type"] in STORAGE}
    for name, resource in whole["Resources"].items():
        if resource["Type"] == RULE:
            kept[name + TICKS] = {"Type": "AWS::SQS::Queue"}
            rule = kept[name] = copy.deepcopy(resource)
            for target in rule["Properties"]["Targets"]:
                target["Arn"] = {"Fn::GetAtt": [name + TICKS, "Arn"]}
    gone = set(whole["Resources"]) - set(kept)

    outputs = {
        name: output for name, output in whole.get("Outputs", {}).items() if not gone & set(named(output["Value"]))
    }
    # What the functions' environment says, CloudFormation works out like any other output.
    for output, value in variables(source).values():
        if not gone & set(named(value)):
            outputs[output] = {"Value": value}
    sections = {name: whole[name] for name in ["Parameters", "Mappings", "Conditions"] if name in whole}
    return {"AWSTemplateFormatVersion": "2010-09-09", **sections, "Resources": kept, "Outputs": outputs}


class Resolver:
    """Values of a template whose parameters have their defaults."""

    def __init__(self, template):
        self.parameters = defaults(template)
        self.conditions = template.get("Conditions", {})

    def value(self, value):
        """A value without functions. A reference to a resource stays as it is."""
        if isinstance(value, list):
            values = [self.value(inner) for inner in value]
            return [inner for inner in values if inner != {"Ref": "AWS::NoValue"}]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, given), = value.items()
            if function == "Ref":
                return self.parameters.get(given, value)
            if function == "Fn::If":
                return self.value(given[1] if self.holds({"Condition": given[0]}) else given[2])
        values = {key: self.value(inner) for key, inner in value.items()}
        return {key: inner for key, inner in values.items() if inner != {"Ref": "AWS::NoValue"}}

    def holds(self, condition):
        (function, given), = condition.items()
        match function:
            case "Condition":
                return self.holds(self.conditions[given])
            case "Fn::Equals":
                left, right = (self.text(inner) for inner in given)
                return left == right
            case "Fn::Not":
                return not self.holds(given[0])
            case "Fn::And":
                return all(self.holds(inner) for inner in given)
            case "Fn::Or":
                return any(self.holds(inner) for inner in given)
        raise ValueError(f"{function} is no condition that this reads")

    def text(self, value):
        if isinstance(value, dict) and "Fn::Join" in value:
            separator, parts = value["Fn::Join"]
            parts = self.value(parts)
            return separator.join(parts.split(",") if isinstance(parts, str) else parts)
        return str(self.value(value))
