"""What plugin authors and tests use: a kit that checks plugins, honest sample files, and faults."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diadem.testing.plugin_report import PluginFault, PluginFinding, PluginReport
    from diadem.testing.plugins import check_plugin

__all__ = ["PluginFault", "PluginFinding", "PluginReport", "check_plugin"]


def __getattr__(name: str) -> Any:
    """The kit, imported when it is first asked for: samples and faults need little of DIADEM."""
    if name not in __all__:
        raise AttributeError(f"module 'diadem.testing' has no attribute '{name}'")
    home = "plugins" if name == "check_plugin" else "plugin_report"
    return getattr(importlib.import_module(f"diadem.testing.{home}"), name)
