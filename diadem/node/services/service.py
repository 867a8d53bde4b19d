"""What an operating system is asked to run for a node, and its files, which say whose they are and who changed them.

A file of ours has one line more than the system needs: from which folder of a node it came, and the digest of all its
other lines. What was changed by hand is known by that, and what has no such line is somebody else's.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from diadem.errors import UsageError
from diadem.model.display import Display
from diadem.node.context import Context

#: Each service: what is said of it, what is written behind its name, the hour of one that runs daily, how far it stands
#: back (``nice``). Repair comes when scrub has usually ended.
SERVICES: Final[Mapping[str, tuple[str, Sequence[str], int | None, int]]] = {
    "watch": ("watches the folders of the instruments", ("--quiet",), None, 10),
    "serve": ("answers other nodes, and calls them", ("--quiet",), None, 0),
    "scrub": ("reads the copies that are due", ("--due", "--quiet"), 2, 19),
    "repair": ("mends copies, and writes those that are missing", ("--quiet",), 6, 19),
}
#: What a service needs to know of the environment in which it was installed; no secrets.
_KEPT: Final = ("DIADEM_CONFIG", "DIADEM_CACHE")
_MARK: Final = "Written by DIADEM as a file of its services. Node {}, text {}"
_MARKED: Final = re.compile(
    r".*Written by DIADEM as a file of its services\. Node ([0-9a-f]{16}), text ([0-9a-f]{64}).*\n?"
)
#: Seconds that the system's own program may take.
_PATIENCE: Final = 60


@dataclass(frozen=True, slots=True)
class Service:
    """One command of a node that runs without a person."""

    #: Its verb, and the name under which the system knows it.
    name: str
    key: str
    title: str
    #: Python, and everything behind it.
    command: Sequence[str]
    environment: Mapping[str, str]
    #: The hour of one that runs once a day; None for one that always runs.
    hour: int | None
    nice: int
    #: Where the node lies.
    folder: Path


class System(Protocol):
    """A program of the operating system that runs others: systemd, launchd, the Task Scheduler."""

    name: str
    encoding: str
    #: What stands around a comment, and at which line of a file one may stand first.
    comment: tuple[str, str]
    comment_line: int

    def texts(self, service: Service) -> Mapping[Path, str]:
        """The files of a service, by where they lie."""

    def start_commands(self, service: Service) -> Sequence[Sequence[str]]:
        """What makes the system know the files, and run the service from now on."""

    def stop_commands(self, service: Service) -> Sequence[Sequence[str]]:
        """What ends it, and lets the system forget it."""

    def state(self, service: Service) -> tuple[bool | None, str]:
        """Whether it is started, None where the system does not answer; and that in the system's words."""

    def forget(self, service: Service) -> None:
        """Remove what the system itself may have left of a service whose files are gone."""

    def notes(self) -> Sequence[str]:
        """What a person should know beside."""


@dataclass(frozen=True, slots=True)
class ServiceFile(Display):
    """A file of a service.

    Attributes
    ----------
    path : Path
        Where it lies.
    state : str
        ``missing``, ``installed``, ``outdated`` (as an earlier version or another Python wrote it), ``edited``,
        ``foreign`` (not written by DIADEM), ``of another node``; of an installation ``written``, ``unchanged`` or
        ``would be written``; ``removed``.
    text : str
        What it says, or would say.
    """

    path: Path
    state: str
    text: str = field(default="", repr=False)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"path": str(self.path), "state": self.state, "text": self.text}


def services_of(context: Context) -> dict[str, Service]:
    """Every service of a node, installed or not.

    Raises
    ------
    Refused
        It is read from a store: only the node itself has services.
    UsageError
        The path of the node or of Python holds what no file of a service can say.
    """
    context.require_writable()
    folder = context.folder.absolute()
    # Plugins as any unattended program has them: those that somebody named. -P: no module of a folder that it runs in.
    environment = {"DIADEM_PLUGINS": os.environ.get("DIADEM_PLUGINS", "").strip() or "off"}
    environment |= {name: str(Path(os.environ[name]).absolute()) for name in _KEPT if os.environ.get(name)}
    for text in (str(folder), sys.executable, *environment.values()):
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
            raise UsageError(
                "a path with a line break, or with bytes that are no text, cannot stand in the file of a service",
                where=repr(text),
                next="Rename the folder, then: diadem service install",
            )
    return {
        name: Service(
            name,
            f"diadem-{name}-{context.settings.name}",
            f"DIADEM {title} ({context.settings.name})",
            (sys.executable, "-P", "-m", "diadem", name, "--node", str(folder), *words),
            environment,
            hour,
            nice,
            folder,
        )
        for name, (title, words, hour, nice) in SERVICES.items()
    }


def content(system: System, service: Service, text: str) -> bytes:
    """A file as it is written: the text, with the line that says whose it is."""
    before, after = system.comment
    mark = _MARK.format(_digest(str(service.folder))[:16], _digest(text))
    lines = text.splitlines(keepends=True)
    lines.insert(system.comment_line, f"{before}{mark}{after}\n")
    return "".join(lines).encode(system.encoding)


def file_of(system: System, service: Service, path: Path, text: str) -> ServiceFile:
    """A file as it lies there."""
    try:
        found = path.read_bytes().decode(system.encoding)
    except FileNotFoundError:
        return ServiceFile(path, "missing", text)
    except UnicodeError:
        return ServiceFile(path, "foreign", text)
    found = found.replace("\r\n", "\n")
    mark = _MARKED.search(found)
    if mark is None:
        return ServiceFile(path, "foreign", text)
    if mark[1] != _digest(str(service.folder))[:16]:
        return ServiceFile(path, "of another node", text)
    rest = found[: mark.start()] + found[mark.end() :]
    if mark[2] != _digest(rest):
        return ServiceFile(path, "edited", text)
    return ServiceFile(path, "installed" if rest == text else "outdated", text)


def call(command: Sequence[str]) -> tuple[bool, str]:
    """Run a program of the system: whether it did what it was asked, and what it said."""
    program = shutil.which(command[0])
    if program is None:
        return False, f"there is no {command[0]} here"
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    if done.returncode:
        return False, " ".join((done.stderr.strip() or done.stdout.strip() or f"code {done.returncode}").split())
    return True, done.stdout


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
