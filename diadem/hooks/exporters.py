"""What an exporter is given: packages as they hold now, their proven files, and a place of its own to write to.

An exporter (`diadem.hooks.offers.ExporterOffer`) is one function, ``export(source, target, **options)``. It decides
what stands in the file; where it lies, when it gets its name, and what the log says of it, is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from diadem.errors import UsageError
from diadem.model.assessments import Assessment
from diadem.model.effective import Corrected
from diadem.model.facts import PackageFacts
from diadem.model.lineage import Caution, Derivation
from diadem.model.manifest import FileEntry
from diadem.model.record import Dataset, Record


def no_secret(name: str) -> str:
    """Raise `UsageError`: nobody has given a token of this name."""
    raise UsageError("there is no token for the service", next=f"Set it in the environment: {name}")


def _no_bag() -> Iterator[tuple[str, Iterator[bytes]]]:
    raise UsageError("the package's own files are not at hand", next="Export it from a node, or from its folder.")


@dataclass(frozen=True, slots=True)
class ExportedPackage:
    """One package that is exported.

    Attributes
    ----------
    id, payload_id : str
        ``diadem:<64 hex>``, and 64 hex digits: both stay what they are, whatever is corrected.
    record : Record
        The record as it holds now: the owner's amendments in place of what was sealed.
    facts : PackageFacts
        The same in plain words, with previews; title, people, licence; the first and last day, as `search` and `show`
        have them.
    datasets : sequence of Dataset
        What is exported of it: all that this version understands, or the one that was asked for.
    files : sequence of FileEntry
        The payload: name below ``data/``, bytes, SHA-256, time.
    open : callable
        ``open(name)`` gives a file of the payload as a seekable binary stream. Every byte that it returns is proven, a
        piece that is damaged in one copy comes from another; it raises `DigestMismatch` where every copy is damaged.
    load : callable
        ``load(dataset)`` gives the list of its lazy HyperSpy signals, in the order of the record, values and axes as
        the record has them, the files proven before.
    assessments : sequence of Assessment
        What people say of its data, as it counts now.
    corrections : sequence of Corrected
        What its owner corrected, with what was sealed in its place.
    cautions : sequence of Caution
        Open doubts: of its data, and of what they were made from.
    derivations : sequence of Derivation
        What it was made from, and by whom.
    samples : sequence of mapping
        What the node knows of the samples that the record names; none without a node. Each has ``id``, ``identifier``,
        and ``called``, the names by which the record means it; as far as they are known ``name``, ``identifiers``
        (``{"igsn": …}``), ``names`` (of other labs: ``name``, ``lab``), ``parents`` (``id``, ``identifier``, ``name``,
        ``identifiers``, ``how``), ``composition``, ``elements`` and ``preparation`` (``step``, ``date``).
    bag : callable
        ``bag()`` goes through every file of the package as it was sealed, those that prove it first: its path in the
        bag, and its proven bytes, piece by piece, to be taken before the next. Written as they are, they are the
        package again.
    """

    id: str
    payload_id: str
    record: Record
    facts: PackageFacts
    datasets: Sequence[Dataset]
    files: Sequence[FileEntry]
    open: Callable[[str], BinaryIO]
    load: Callable[[Dataset], list[Any]]
    assessments: Sequence[Assessment] = ()
    corrections: Sequence[Corrected] = ()
    cautions: Sequence[Caution] = ()
    derivations: Sequence[Derivation] = ()
    samples: Sequence[Mapping[str, Any]] = ()
    bag: Callable[[], Iterator[tuple[str, Iterator[bytes]]]] = _no_bag


@dataclass(frozen=True, slots=True)
class ExportSource:
    """What is exported, by whom.

    Attributes
    ----------
    packages : sequence of ExportedPackage
        One; of a search any number, each opened when it is asked for: go through them once, hold none.
    moment : datetime
        When, UTC, to the second: the only clock that an exporter looks at, so that the same comes of the same.
    by, person, node : str
        Who exports it: ``marie@nmi``, the full name or "", and the name of the node; all "" without a node.
    query : str
        The search whose packages these are, or "".
    software : str
        Name and version of DIADEM.
    progress : callable
        ``progress(done, total, what)``, with bytes or pieces, tells the user how far it is. It raises where the user
        has stopped it: let that pass.
    """

    packages: Sequence[ExportedPackage]
    moment: datetime
    by: str = ""
    person: str = ""
    node: str = ""
    query: str = ""
    software: str = ""
    progress: Callable[[int, int, str], None] = lambda _done, _total, _what: None

    @property
    def package(self) -> ExportedPackage:
        """The package, where it is one."""
        return self.packages[0]


@dataclass(frozen=True, slots=True)
class ExportTarget:
    """Where it goes to.

    Attributes
    ----------
    path : Path
        A file that is not there yet, or an empty folder: the exporter's own until it returns, and removed if it fails.
        It has not its last name. For a service a folder for what has to be put together before.
    name : str
        The last name of the file or folder; "" for a service.
    url : str
        The service's address, as the user wrote it; "" for a file or folder.
    notes : mapping of str to object
        What the exporter noted of the same packages and the same service before; JSON.
    note : callable
        ``note(mapping)`` keeps notes for the next time, whether this one is interrupted or not, in place of those
        before; on the disk when it returns. Nothing is kept of an exporter that returned and whose notes are empty.
    leave : callable
        ``leave(where, identifiers)`` states that the packages leave for a place with these identifiers (``doi:…``).
        An exporter to a service calls it before the first byte leaves, and again if it learns more; a store holds the
        statement when it returns. Said twice it is stated once.
    secret : callable
        ``secret(name)`` gives a token for the service by the name of an environment variable. Raises `UsageError`, with
        the next step, where there is none.
    """

    path: Path
    name: str = ""
    url: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)
    note: Callable[[Mapping[str, Any]], None] = lambda _notes: None
    leave: Callable[[str, Sequence[str]], None] = lambda _where, _identifiers: None
    secret: Callable[[str], str] = no_secret
