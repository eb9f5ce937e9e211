"""template.yaml as CloudFormation sees it: transformed, linted, and worked out for given parameters."""

import copy
import json
import logging
import re
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
# What the template's names stand for where nobody deploys.
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "000000000000",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "replicante",
}
NOTHING = object()


class NoPolicies(ManagedPolicyLoader):
    """The template uses no managed policies. Asked for one, this fails: nobody is called for a list."""

    def __init__(self):
        super().__init__(None)

    def load(self):
        return {}


def read(path):
    return yaml_parse((ROOT / path).read_text())


def listed(value):
    return value if isinstance(value, list) else [value]


def defaults(source):
    return {name: given.get("Default", "") for name, given in source["Parameters"].items()}


def transformed(source):
    """The template as CloudFormation sees it. The transform knows only code that was uploaded."""
    source = copy.deepcopy(source)
    for name in FUNCTIONS:
        source["Resources"][name]["Properties"]["CodeUri"] = f"s3://bucket/{name}"
    return transform(source, defaults(source), NoPolicies())


def lint(template):
    """What cfn-lint says of it, with nested templates where `sam deploy` puts them: they are linted by themselves."""
    template = copy.deepcopy(template)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            resource["Properties"]["TemplateURL"] = "https://s3.amazonaws.com/bucket/template"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(template, file)
        file.flush()
        options = cfnlint.ManualArgs(regions=["us-east-1", "eu-central-1"])
        found = cfnlint.lint_file(Path(file.name), options)
    return [f"{match.rule.id} at {'/'.join(map(str, match.path or []))}: {match.message}" for match in found]


class Deployed:
    """A transformed template with parameters, and with names for its resources."""

    def __init__(self, template, parameters, names=None):
        self.template = template
        self.parameters = {**defaults(template), **parameters}
        self.names = names or {}

    def arn(self, name):
        kind = self.template["Resources"][name]["Type"]
        service, before = {
            "AWS::DynamoDB::Table": ("dynamodb", "table/"),
            "AWS::Kinesis::Stream": ("kinesis", "stream/"),
            "AWS::SQS::Queue": ("sqs", ""),
            "AWS::Logs::LogGroup": ("logs", "log-group:"),
        }.get(kind, (kind, ""))
        return f"arn:aws:{service}:{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}:{before}{self.names.get(name, name)}"

    def holds(self, condition):
        return self.value(self.template["Conditions"][condition])

    def reference(self, name):
        if name == "AWS::NoValue":
            return NOTHING
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        return self.names.get(name, name)

    def value(self, node):
        """What a node comes to. What is no value is left out of maps and lists."""
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(name, given)] = node.items()
            if name == "Ref":
                return self.reference(given)
            if name == "Condition" and isinstance(given, str):
                return self.holds(given)
            if name.startswith("Fn::"):
                return self.function(name[4:], given)
        values = ((name, self.value(given)) for name, given in node.items())
        return {name: value for name, value in values if value is not NOTHING}

    def function(self, name, given):
        if name == "If":
            return self.value(given[1] if self.holds(given[0]) else given[2])
        if name == "GetAtt":
            return self.arn(given[0]) if given[1:] == ["Arn"] else ".".join(given)
        if name == "Sub":
            def word(match):
                resource, _, attribute = match[1].partition(".")
                return str(self.arn(resource) if attribute == "Arn" else self.reference(match[1]))

            return re.sub(r"\$\{([^!}]+)\}", word, given)
        values = self.value(given)
        if name == "Join":
            return values[0].join(map(str, listed(values[1])))
        if name == "Equals":
            return values[0] == values[1]
        if name == "Not":
            return not values[0]
        if name in ("And", "Or"):
            return all(values) if name == "And" else any(values)
        raise ValueError(f"Fn::{name} is not worked out by this check")

    def properties(self, name):
        return self.value(self.template["Resources"][name].get("Properties", {}))
