"""What is given to a worker, and what it gives back: plain values, without a node, a key or a password.

A worker does what needs no log: it reads, hashes, extracts, and writes sealed packages into stores. It opens a store by
the settings that stand in `node.toml`; credentials it finds where it runs, in the environment or the files of fsspec.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diadem.model.manifest import PackageId
from diadem.model.policy import Policy
from diadem.model.report import Level, Report
from diadem.node.config import StoreSettings
from diadem.node.reindex_reading import Sought
from diadem.pack.plan import PackPlan
from diadem.store.source import SourceFile


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """Look whether a worker sees what this machine sees.

    Attributes
    ----------
    stores : sequence of StoreSettings
        Stores that it must reach.
    folders : sequence of str
        Folders that must be there.
    """

    stores: Sequence[StoreSettings] = ()
    folders: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PackTask:
    """Pack a planned session into a store.

    Attributes
    ----------
    store : StoreSettings
        Where to.
    plan : PackPlan
        What.
    archived : datetime
        The moment that the package states: by the node's clock, not by the worker's.
    strict, license, software, continues
        See `diadem.pack.compose.Options`.
    policy : Policy or None
        Where it requires metadata.
    unreadable : frozenset of str
        Paths of files that the node cannot read either: nobody sees more than the worker.
    """

    store: StoreSettings
    plan: PackPlan
    archived: datetime.datetime
    strict: bool = False
    license: str = ""
    software: str = ""
    continues: PackageId | None = None
    policy: Policy | None = None
    unreadable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HashTask:
    """Compute the SHA-256 of files of a session."""

    files: Sequence[SourceFile]


@dataclass(frozen=True, slots=True)
class CopyToProve:
    """One copy of a package: which, where in the store, and how far it is to be read."""

    package: str
    path: str
    level: Level


@dataclass(frozen=True, slots=True)
class ProveTask:
    """Read copies in one store whole.

    Attributes
    ----------
    store : StoreSettings
        Where they lie.
    copies : sequence of CopyToProve
        Which.
    rate : float or None
        Bytes per second.
    """

    store: StoreSettings
    copies: Sequence[CopyToProve]
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class CopyTask:
    """Copy a package from one store into another."""

    package: str
    source: StoreSettings
    path: str
    target: StoreSettings
    target_path: str


@dataclass(frozen=True, slots=True)
class EnterTask:
    """Read packages of one store for a catalogue that is built anew."""

    store: StoreSettings
    packages: Sequence[Sought]


Task = ProbeTask | PackTask | HashTask | ProveTask | CopyTask | EnterTask


@dataclass(frozen=True, slots=True)
class Seen:
    """What a worker says of itself.

    Attributes
    ----------
    identity : str
        DIADEM, RosettaSciIO and plugins with their versions: what extraction depends on.
    """

    identity: str


@dataclass(frozen=True, slots=True)
class Blind:
    """Files that a worker cannot read. Nothing was packed: the node looks whether it can."""

    files: Sequence[str]


@dataclass(frozen=True, slots=True)
class Proved:
    """What a worker found of one copy.

    Attributes
    ----------
    copy : CopyToProve
        Which.
    report : Report or None
        None where the copy gave no answer.
    found : str
        The id of the package that lies at its place, where it is another one.
    silence : str
        Why there is no report.
    """

    copy: CopyToProve
    report: Report | None
    found: str = ""
    silence: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a task.

    Attributes
    ----------
    value : object
        `Seen`, `Packed`, `Blind`, digests by path, a list of `Proved`, or `Added`.
    host, process : str, int
        Who did it.
    began, ended : float
        When, seconds since 1970 by that machine's clock.
    """

    value: Any
    host: str
    process: int
    began: float
    ended: float
