"""The verbs of a node, on real files."""

import pytest

pytest.register_assert_rewrite("tests.node.verbs.agreeing")
