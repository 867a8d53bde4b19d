"""What is put into the catalogue of a package, and the facts that are searched: each distinct value of its record once,
with the datasets that state it."""

from __future__ import annotations

import builtins
import datetime
import hashlib
import heapq
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from diadem.catalogue.dataset_sets import Runs
from diadem.errors import PackageError
from diadem.model.folder_dates import leading_date, session_days
from diadem.model.manifest import DERIVED_PATHS, INDEX_PATH, FileEntry
from diadem.model.plain_text import first_of
from diadem.terms.fields import head_names, is_time

if TYPE_CHECKING:
    from diadem.model.record import Record

#: Keys of facts that are no fields of the record.
FILE, FORMAT, SUFFIX, KIND, SIGNAL, ISSUE = "file", "format", "suffix", "kind", "signal", "issue"
TITLE, OWNER, ABOUT = "title", "owner", "about"
#: What other labs call the sample, as the record says: it holds whatever the sample's own identifier becomes.
OTHER_NAME: Final = "sample.other_names"
#: What the package is called elsewhere, as handovers of the log say: of a DOI without ``doi:`` before it.
IDENTIFIER: Final = "doi"
PLAIN_KEYS: Final = frozenset({
    FILE, FORMAT, SUFFIX, KIND, SIGNAL, ISSUE, TITLE, OWNER, ABOUT, OTHER_NAME, IDENTIFIER
})  # fmt: skip
#: First and last day of the session, as they hold; of them only the moment is kept: nobody looks for their digits.
SESSION_DATE, SESSION_END = "session.date", "session.end_date"
#: Texts that are named of several.
_NAMED: Final = 3
#: Where what is said of a person belongs.
_PERSON = {"name": "person.name", "role": "person.role", "orcid": "person.orcid"}
_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  (the clock on the wall, wherever it hangs)
#: Files of a package that leave a trace with their time, and of these, without it.
_KEPT, _TIMELESS = 32, 4


@dataclass(frozen=True, slots=True)
class PackageEntry:
    """One package, with all that search and the policy need to know of it."""

    id: str  # diadem:<64 hex>
    payload_id: str  # 64 hex digits
    path: str  # in a store, as the package was named when it was made: 2026/20260314-…
    title: str  # the session's, or what stands for it
    date: datetime.date | None  # in its name: the session's, else that of archiving
    bytes: int  # of the payload, as `files`
    files: int
    owner: str  # who had it archived
    ingested_at: datetime.datetime | None  # when the `ingest` statement was made, UTC
    record: Record  # its datasets are read once, one after the other
    predecessor: str | None = None  # id of the package that this one continues
    omitted: int = 0  # things of the source that were left out
    #: By bag path, kept so that lost ones can be written again; some up to `packages.KEPT` bytes.
    tag_files: Mapping[str, builtins.bytes] = field(default_factory=dict)
    traces: frozenset[int] = frozenset()  # see `traces_of`
    #: Its datasets, and all that is told of its files, are entered later: until then it has none in the catalogue.
    owed: bool = False
    #: Day of archiving, as its bag says: where the name has this one and nothing else tells, the session's is unknown.
    archived: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One value of a package."""

    key: str  # a field, or one of `PLAIN_KEYS`
    value: float | str  # a number is in the field's unit
    everywhere: bool  # all datasets state it
    datasets: str  # those that do, see `Runs`


@dataclass(slots=True)
class Facts:
    """What a record says, gathered dataset by dataset."""

    datasets: list[tuple[str, str]] = field(default_factory=list)
    #: Values of the whole package.
    said: dict[tuple[str, float | str], None] = field(default_factory=dict)
    stated: dict[tuple[str, float | str], Runs] = field(default_factory=dict)
    #: Codes of the datasets' issues, and how often each came.
    issues: Counter[str] = field(default_factory=Counter)

    def say(self, key: str, value: Any) -> None:
        """Add a value of the whole package."""
        for item in value if isinstance(value, list | tuple) else (value,):
            for one in kept(key, item):
                self.said[key, one] = None

    def state(self, key: str, value: Any, number: int) -> None:
        """Add a value that one dataset states."""
        for item in value if isinstance(value, list) else (value,):
            for one in kept(key, item):
                runs = self.stated.get((key, one))
                if runs is None:
                    runs = self.stated[key, one] = Runs()
                runs.add(number)

    def all(self) -> Iterator[Fact]:
        """Every fact, those of the whole package first; sorted, so that equal records give equal rows."""
        count = len(self.datasets)
        every = f"1-{count}" if count > 1 else "1" if count else ""
        for key, value in sorted(self.said, key=_sorting):
            yield Fact(key, value, everywhere=True, datasets=every)
        for (key, value), runs in sorted(self.stated.items(), key=lambda item: _sorting(item[0])):
            if (key, value) not in self.said:
                yield Fact(key, value, everywhere=runs.covers(count), datasets=runs.text())

    def values(self, *keys: str) -> list[str]:
        """Texts of the first key that has any, in the order in which they came; what a person said goes before."""
        for key in keys:
            for source in (self.said, self.stated):
                if found := [str(value) for name, value in source if name == key]:
                    return found
        return []


def gather(entry: PackageEntry) -> Facts:
    """Everything that can be searched of a package."""
    facts = Facts()
    facts.say(TITLE, entry.title)
    if (title := entry.record.session.get("title")) != entry.title:  # else it is said, and amended, in one place
        facts.say(ABOUT, title)
    facts.say(OWNER, entry.owner)
    _head(facts, entry.record)
    known = set() if entry.owed else _datasets(facts, entry.record)
    for key, day in zip((SESSION_DATE, SESSION_END), session_span(entry, facts), strict=True):
        facts.say(key, day.isoformat() if day else None)
    for path in () if entry.owed else _payload_paths(entry.tag_files):
        if path not in known:
            facts.say(FILE, path)
    return facts


def session_span(entry: PackageEntry, facts: Facts) -> tuple[datetime.date | None, datetime.date | None]:
    """First day of a session, None where nothing but the day of archiving is known; its last, where that is another.

    A package of an earlier version may have the day of archiving in its name although its files tell more.
    """

    session, title = entry.record.session, entry.title
    stated = (value for key, value in facts.stated if key == "time.acquired_start" and isinstance(value, str))
    days = {day for text in stated if (day := _day(text[:10])) is not None}
    known = entry.archived or entry.date
    latest = known + datetime.timedelta(days=1) if known else datetime.date.max
    told = session_days(days, leading_date(title), latest=latest)
    first, last = told or (None, None)
    if given := _day(str(session.get("date", ""))):
        first, last = given, last if last is not None and last > given else None
    elif entry.date is not None and entry.date != entry.archived:
        first = entry.date
    last = _day(str(session.get("end_date", ""))) or last
    return first, last if first and last and last > first else None


def seconds_of(moment: datetime.datetime) -> float:
    """A moment as it is kept, whatever its zone: seconds since 1970 by the clock on the wall."""
    return (moment.replace(tzinfo=None) - _EPOCH).total_seconds()


def moment_of(seconds: float) -> datetime.datetime:
    """The moment again. Raises `OverflowError` for one beyond the calendar."""
    return _EPOCH + datetime.timedelta(seconds=seconds)


def day_of(seconds: float) -> datetime.date:
    """The day of a `SESSION_DATE` as it is kept."""
    return moment_of(seconds).date()


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


def _head(facts: Facts, record: Record) -> None:
    """What a person said of the session."""
    for key in ("description", "purpose", "keywords"):
        facts.say(ABOUT, record.session.get(key))
    for person in record.people:
        _mapped(facts, person, _PERSON)
        facts.say(ABOUT, person.get("affiliation"))
        if "operator" in str(person.get("role", "")).casefold():
            facts.say("person.operator", person.get("name"))
    _mapped(facts, record.session, head_names("session"))
    _mapped(facts, record.sample, head_names("sample") | {"provider_identifier": "sample.identifier"})
    _mapped(facts, record.instrument, head_names("instrument"))
    facts.say(OTHER_NAME, list(dict(record.sample.get("other_names", {})).values()))
    for key in ("description", "provider"):
        facts.say(ABOUT, record.sample.get(key))


def _mapped(facts: Facts, said: Mapping[str, Any], places: Mapping[str, str]) -> None:
    for key, place in places.items():
        facts.say(place, said.get(key))


def _datasets(facts: Facts, record: Record) -> set[str]:
    """What the datasets say; returns the paths of their files."""
    known: set[str] = set()
    for number, dataset in enumerate(record.datasets.loose, 1):  # their package is not asked for anything
        document = dataset.document
        facts.datasets.append((dataset.id, storable(_files(facts, document["files"], number, known))))
        for signal in document.get("signals", ()):
            for key, name in ((KIND, "kind"), (SIGNAL, "title")):
                if signal.get(name):
                    facts.state(key, signal[name], number)
        for issue in document.get("issues", ()):
            facts.state(ISSUE, issue["code"], number)
            facts.issues[str(issue["code"])] += 1
        for key, assertions in document.get("fields", {}).items():
            for assertion in assertions:
                facts.state(key, assertion["value"], number)
    return known


def _files(facts: Facts, files: Sequence[Mapping[str, Any]], number: int, known: set[str]) -> str:
    """The files of a dataset; returns the primary's path."""
    primary = ""
    for item in files:
        facts.state(FILE, item["path"], number)
        known.add(item["path"])
        if item["role"] == "primary":
            primary = item["path"]
            facts.state(FORMAT, item.get("format") or "unknown", number)
            facts.state(SUFFIX, _suffix(primary), number)
    return primary


def _suffix(path: str) -> str:
    """What follows the last dot of a file's name, in lower case; "none" where nothing does."""
    stem, _, suffix = path.rpartition("/")[2].rpartition(".")
    return suffix.lower() if stem and suffix else "none"


def _payload_paths(tag_files: Mapping[str, bytes]) -> Iterator[str]:
    """Paths of all payload files, as stored and, where that differs, as they were named."""
    from diadem.package.tags import parse_index

    if INDEX_PATH not in tag_files:
        return
    try:
        rows = parse_index(tag_files[INDEX_PATH]).entries
    except PackageError:  # of a package whose tag files are damaged: what the record names is all there is
        return
    for row in rows:
        if row.path not in DERIVED_PATHS:
            yield row.path.removeprefix("data/")
            if row.original is not None:
                yield row.original.decode("utf-8", "replace")


def kept(key: str, value: Any) -> tuple[float | str, ...]:
    """A value as it is kept: a number, a text, of a moment both; nothing for what says nothing."""
    if key in (SESSION_DATE, SESSION_END):
        day = _clock(str(value))
        return () if day is None else (day,)
    if isinstance(value, str):
        text = storable(value)
        moment = _clock(text) if is_time(key) else None
        return (text,) if moment is None else (text, moment)
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (OverflowError, TypeError, ValueError):  # nothing, or an integer of hundreds of digits
        return ()
    return (number,) if math.isfinite(number) else ()


def named(texts: Sequence[str]) -> str:
    """The first of several texts, for a list."""
    return first_of(texts, _NAMED, "; ")


def storable(text: str) -> str:
    """A text without what no UTF-8 can hold: bytes of a name that were none."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _clock(text: str) -> float | None:
    """Seconds since 1970 of a moment as the clock beside the instrument showed it, its offset left aside."""
    try:
        return seconds_of(datetime.datetime.fromisoformat(text))
    except ValueError:  # a leap second
        return None


def _sorting(item: tuple[str, float | str]) -> tuple[str, bool, float | str]:
    key, value = item
    return key, isinstance(value, str), value


# Traces: what a folder that was archived is recognised by when it comes again, where it was, and its largest files. A
# trace is a guess that costs a comparison of names; the proof is a hash of every byte. Kept are the source and the
# largest files only, so that a session of 20,000 frames has as few as one of ten.


def file_trace(name: bytes, size: int, mtime_ns: int | None = None) -> int:
    """The trace of a file by its original path, relative to what was archived, its size, and its time in seconds."""
    time = b"" if mtime_ns is None else b"%d" % (mtime_ns // 1_000_000_000)
    return _trace(b"file\0%d\0%s\0%s" % (size, time, name))


def source_trace(source: str) -> int:
    """The trace of a folder by its place."""
    return _trace(b"source\0" + os.fsencode(source))


def traces_of(files: Iterable[FileEntry], source: str) -> frozenset[int]:
    """The traces that a package leaves."""
    largest = heapq.nlargest(_KEPT, files, key=lambda file: (file.size, file.original_name))
    traces = {file_trace(file.original_name, file.size, file.mtime_ns) for file in largest}
    traces |= {file_trace(file.original_name, file.size) for file in largest[:_TIMELESS]}
    return frozenset(traces | {source_trace(source)} if source else traces)


def _trace(data: bytes) -> int:
    """64 bits with a sign, as databases have them."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)
