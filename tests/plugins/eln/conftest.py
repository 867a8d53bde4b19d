"""The lab of the tests of a node."""

from tests.node.verbs.conftest import lab

__all__ = ["lab"]
