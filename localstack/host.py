"""Starts LocalStack 4.13.1 on this machine, without Docker and without downloads.

LocalStack is meant for its own image, with Python 3.13 and what is installed there. What is different here:

- Python 3.11 and 3.12: `threading.Lock` is no class yet, which an annotation needs; and `uuid.uuid5` took text alone.
- DynamoDB is the one that listens at DYNAMODB_LOCAL_PORT already, so that none is downloaded and started.
- It listens on the loopback, whatever address it is told: it would listen on all.
"""

import __future__
import functools
import hashlib
import importlib.machinery
import sys
import uuid


class PostponedAnnotations(importlib.machinery.SourceFileLoader):
    """Loads a module as if it began with `from __future__ import annotations`."""

    def get_code(self, fullname):
        flags = __future__.annotations.compiler_flag
        return compile(self.get_data(self.path), self.path, "exec", flags=flags, dont_inherit=True)


class Finder:
    def find_spec(self, name, path, target=None):
        if name != "localstack.packages.api":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = PostponedAnnotations(name, spec.origin)
        return spec


def uuid5(namespace, name):
    name = name.encode() if isinstance(name, str) else name
    return uuid.UUID(bytes=hashlib.sha1(namespace.bytes + name, usedforsecurity=False).digest()[:16], version=5)


if sys.version_info < (3, 13):
    sys.meta_path.insert(0, Finder())
    uuid.uuid5 = uuid5

from localstack.runtime.main import main  # noqa: E402
from localstack.services.dynamodb.server import DynamodbServer  # noqa: E402
from twisted.internet import endpoints  # noqa: E402

DynamodbServer.start_dynamodb = lambda self: True
endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1")

main()
