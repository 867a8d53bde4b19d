"""Things that offers name as ``module:name``, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any


def target(dotted: str) -> Any:
    """What ``module:name`` names. Raises whatever the import raises, and `AttributeError`."""
    module, _, name = dotted.partition(":")
    return getattr(importlib.import_module(module), name)
