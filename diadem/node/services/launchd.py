"""launchd, for one account: a property list for each service, as an agent.

Written from launchd.plist(5) and launchctl(1).
"""

from __future__ import annotations

import os
import plistlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.node.services.service import Service, call


class Launchd:
    """The launchd of this account."""

    name = "launchd"
    encoding = "utf-8"
    comment = ("<!-- ", " -->")
    comment_line = 1  # below the declaration of XML

    def texts(self, service: Service) -> Mapping[Path, str]:
        """A property list."""
        log = str(Path.home() / "Library" / "Logs" / f"{service.key}.log")
        job: dict[str, Any] = {
            "Label": _label(service),
            "ProgramArguments": list(service.command),
            "EnvironmentVariables": dict(service.environment),
            "Nice": service.nice,
            "StandardOutPath": log,
            "StandardErrorPath": log,
        }
        if service.hour is None:
            job |= {"RunAtLoad": True, "KeepAlive": {"SuccessfulExit": False}, "ThrottleInterval": 30}
        else:
            job |= {"StartCalendarInterval": {"Hour": service.hour, "Minute": 0}}
            job |= {"ProcessType": "Background", "LowPriorityIO": True}
        return {self._path(service): plistlib.dumps(job).decode("utf-8")}

    def start_commands(self, service: Service) -> Sequence[Sequence[str]]:
        """Loaded; also at each login, because it lies where it lies."""
        return (("launchctl", "bootstrap", _domain(), str(self._path(service))),)

    def stop_commands(self, service: Service) -> Sequence[Sequence[str]]:
        """Ended, and not known any more."""
        return (("launchctl", "bootout", f"{_domain()}/{_label(service)}"),)

    def state(self, service: Service) -> tuple[bool | None, str]:
        """What ``launchctl print`` says."""
        if not (domain := call(("launchctl", "print", _domain())))[0]:
            return None, domain[1]
        known, text = call(("launchctl", "print", f"{_domain()}/{_label(service)}"))
        shown = dict(re.findall(r"^\s*(state|runs|last exit code) = (.+)$", text, re.MULTILINE))
        return known, ", ".join(f"{key}: {value}" for key, value in shown.items()) if known else "not loaded"

    def forget(self, service: Service) -> None:
        """Nothing is left: the log of what the service said is the person's."""

    def notes(self) -> Sequence[str]:
        """When agents run, and what a Mac asks for."""
        return (
            "they run while this account is logged in",
            "for external disks, allow Python under Privacy & Security, Full Disk Access",
        )

    def _path(self, service: Service) -> Path:
        return Path.home() / "Library" / "LaunchAgents" / f"{_label(service)}.plist"


def _label(service: Service) -> str:
    return f"org.diadem.{service.key}"


def _domain() -> str:
    return f"gui/{os.getuid() if hasattr(os, 'getuid') else 0}"
