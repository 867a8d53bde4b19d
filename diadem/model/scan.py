"""What a scan of existing folders finds: datasets, sessions that could be made of them, and what deserves attention.

All paths are text with ``/`` between parts; bytes of a name that are no UTF-8 are written ``\\xff``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from diadem.model.display import Display


class Concern(StrEnum):
    """What kind of attention an issue deserves."""

    UNSEEN = "unseen"  # the system did not let us look: the scan does not know what is there
    UNREADABLE = "unreadable"  # damaged, cut short, hostile, or not what its name says
    INCOMPLETE = "incomplete"  # files of one dataset are apart
    NOTE = "note"  # read, but something is odd


@dataclass(frozen=True, slots=True)
class ScanIssue(Display):
    """Something that a careful colleague would point out.

    Attributes
    ----------
    concern : Concern
        What kind of attention it deserves.
    code : str
        Short stable name: ``truncated``, ``unreadable``, ``symlink`` …
    root, path : str
        The folder that was scanned, and the file in it.
    message : str
        What was found, in plain words.
    next : str
        What to do, or "".
    """

    concern: Concern
    code: str
    root: str
    path: str
    message: str
    next: str = ""


@dataclass(frozen=True, slots=True)
class Facts(Display):
    """The few things that a person wants to know of a dataset. Unknown is "" or None, never 0.

    Attributes
    ----------
    format : str
        Name of the format, or ``unknown``.
    acquired : str
        When it was recorded, as the file states it: ISO 8601, with an offset where one is known.
    instrument, mode, detector, sample, operator : str
        As the file states them.
    voltage : float or None
        Of the beam, in V.
    magnification : float or None
        As the file states it.
    kind : str
        Of the largest signal: ``image``, ``spectrum``, ``4dstem`` …
    shape : tuple of int
        Of the largest signal, slowest axis first.
    signals : int
        How many there are.
    pixel_size : float or None
        Step of its first axis in metres, in m.
    reciprocal_pixel_size : float or None
        Step of its first axis in reciprocal metres, in 1/m.
    energy_step : float or None
        Step of its first axis in electron volts, in eV.
    """

    format: str = "unknown"
    acquired: str = ""
    instrument: str = ""
    voltage: float | None = None
    mode: str = ""
    magnification: float | None = None
    detector: str = ""
    kind: str = ""
    shape: tuple[int, ...] = ()
    signals: int = 0
    pixel_size: float | None = None
    reciprocal_pixel_size: float | None = None
    energy_step: float | None = None
    sample: str = ""
    operator: str = ""


@dataclass(frozen=True, slots=True)
class ScannedDataset(Display):
    """One dataset: a primary file (or folder) with its side files.

    Attributes
    ----------
    root, path : str
        The folder that was scanned, and the primary in it.
    facts : Facts
        What the file says.
    files, bytes : int
        Of the whole dataset.
    modified_ns : int
        When the primary was last changed, by the file system: nanoseconds since 1970. Says nothing of the acquisition.
    issues : tuple of ScanIssue
        What is wrong with it.
    session : str
        Id of the session that it would belong to.
    """

    root: str
    path: str
    facts: Facts
    files: int
    bytes: int
    modified_ns: int
    issues: tuple[ScanIssue, ...] = ()
    session: str = ""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def known(self) -> bool:
        """Whether its format is one that DIADEM knows."""
        return self.facts.format != "unknown"

    @property
    def readable(self) -> bool:
        """Whether a signal was found in it."""
        return bool(self.facts.signals)


@dataclass(frozen=True, slots=True)
class DuplicateGroup(Display):
    """Files with one content.

    Attributes
    ----------
    digest : str
        BLAKE3 of the content, 64 hex digits.
    size : int
        Bytes of each.
    paths : tuple of str
        Absolute paths, sorted. Names of one file on disk (hard links) are counted once in `copies`.
    copies : int
        How often the content lies on disk.
    """

    digest: str
    size: int
    paths: tuple[str, ...]
    copies: int

    @property
    def spare(self) -> int:
        """Bytes that all copies but one take."""
        return (self.copies - 1) * self.size


@dataclass(frozen=True, slots=True)
class SingleCopies(Display):
    """Files of one root whose content lies nowhere else within the roots given."""

    root: str
    files: int
    bytes: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Archived(Display):
    """A package or a store that lies in the tree and was not looked into: `kind` is ``package`` or ``store``."""

    path: str
    kind: str
    packages: int


#: Of the parts of a session: all files directly in a folder.
STAR: Final = "*"
#: What stands at the end of a cell that names only the first of many.
_COUNT: Final = re.compile(r"and [0-9]+ more")


@dataclass(frozen=True, slots=True)
class PlannedSession(Display):
    """A session that could be archived as one package: a row of the plan.

    Attributes
    ----------
    id : str
        Twelve hex digits that stay the same while the same files make the session.
    archive : bool
        Whether to archive it.
    title : str
        What names it for a person.
    date : str
        Day of the acquisition, ``YYYY-MM-DD``, or "" where neither files nor folders tell.
    folder : str
        Absolute path of the folder that holds it.
    parts : tuple of str
        Relative to `folder`: its files and sub-folders (with a final ``/``) that belong to the session; ``*`` is all
        files directly in it. Empty means the folder with everything in it.
    name : str
        What its package would be called, without the digits of the payload id.
    sample, operator, instrument : str
        What the files state; several with ``; `` between them.
    datasets, files, bytes : int
        What it holds. -1 in a plan that was read, where the row does not say.
    first, last : str
        The first and the last acquisition time that its files state.
    formats : str
        What it holds, in words: ``12 tiff, 3 emd``.
    why : str
        Why these files make a session.
    stated : bool
        Whether a person had the row before them: it was read from a plan, and `operator` says who worked.
    """

    id: str
    archive: bool
    title: str
    date: str
    folder: str
    parts: tuple[str, ...] = ()
    name: str = ""
    sample: str = ""
    operator: str = ""
    instrument: str = ""
    datasets: int = -1
    files: int = -1
    bytes: int = -1
    first: str = ""
    last: str = ""
    formats: str = ""
    why: str = ""
    stated: bool = field(default=False, compare=False)

    @property
    def metadata(self) -> dict[str, Any]:
        """What `diadem.pack` takes as metadata: title, date, sample and, of a plan that was read, who worked."""
        session = {key: value for key, value in (("title", self.title), ("date", self.date)) if value}
        sample = {"name": self.sample} if self.sample and ";" not in self.sample else {}
        names = [name.strip() for name in self.operator.split(";")] if self.stated else []
        people = [{"name": name, "role": "operator"} for name in names if name and not _COUNT.fullmatch(name)]
        return {key: value for key, value in (("session", session), ("sample", sample), ("people", people)) if value}


@dataclass(frozen=True, slots=True)
class Totals(Display):
    """Sums over a scan.

    Attributes
    ----------
    files, bytes, datasets : int
        All that was found; what lies in packages and stores is not counted.
    formats : mapping of str to (int, int)
        Known format to the number of datasets and their bytes, most datasets first.
    unknown : mapping of str to (int, int)
        The same for all others, by the ending of their names.
    first, last : str
        The first and the last acquisition time that any file states.
    readable : int
        Datasets in which a signal was found.
    known : int
        Datasets of a known format.
    """

    files: int = 0
    bytes: int = 0
    datasets: int = 0
    formats: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    unknown: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    first: str = ""
    last: str = ""
    readable: int = 0
    known: int = 0


@dataclass(frozen=True, slots=True)
class Effort(Display):
    """What the scan cost: datasets read by a worker, datasets and digests taken from the cache, bytes compared."""

    read: int = 0
    cached: int = 0
    hashed_bytes: int = 0
    cached_digests: int = 0
    seconds: float = 0.0


def as_json(value: Any) -> Any:
    """A value of this module as plain JSON: tuples are lists."""
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_json(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return as_json(asdict(value))
    return value
