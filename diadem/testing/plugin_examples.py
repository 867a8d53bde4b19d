"""A plugin's examples: read as promised, alike when renamed, harmless when spoiled, given back by a package."""

from __future__ import annotations

import os
import random
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem import api
from diadem.archive.package import Package
from diadem.errors import DiademError, line_of
from diadem.extract.extraction import Extraction
from diadem.extract.pool import Extractor
from diadem.extract.survey import DatasetPlan, survey, with_companions
from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer, ReaderOffer, SchemaOffer
from diadem.serialization.validation import require_admissible, validate_record
from diadem.testing.plugin_report import Notes, difference
from diadem.testing.trial import digest

if TYPE_CHECKING:
    from diadem.hooks.manager import Offers

#: Bytes of an example's files in all; larger ones make slow tests.
MAX_EXAMPLE = 64 << 20
#: When a renamed copy says that it was written: in 2001.
_LONG_AGO = 1_000_000_000
_NEW_STEM = "renamed_copy"
#: Seconds beyond which a small example is read slowly.
_SLOW = 10.0
#: What must not become of a worker.
_DEATHS = frozenset({"reader-crashed", "reader-timeout", "memory-limit", "plugin-stopped", "worker-lost"})
#: Spoiled copies that may end a worker before no more are tried.
_MOST_DEATHS = 3
#: Issues that are the plugin's own fault, however small.
_OWN_FAULTS = frozenset({"check-failed", "preview-refused", "extension-unjudged"})


@dataclass(frozen=True, slots=True)
class Example:
    """One dataset in a folder of its own."""

    name: str
    root: Path
    plan: DatasetPlan

    @property
    def path(self) -> Path:
        """What the reader gets."""
        return self.root / self.plan.entry

    @property
    def files(self) -> list[str]:
        """Paths of its files, the primary first, relative to the folder."""
        return [file.path for file in self.plan.files]


def prepare(given: Path, root: Path, readers: Sequence[ReaderOffer], notes: Notes) -> Example | None:
    """Copy an example's dataset into an empty folder."""
    if not given.exists():
        notes.error("example-missing", given.name, f"there is no file '{given}'")
        return None
    root.mkdir(parents=True)
    for source in with_companions(given, readers) if given.is_file() else [given]:
        if source.is_dir():
            shutil.copytree(source, root / source.name)
        else:
            shutil.copyfile(source, root / source.name)
    found = _surveyed(given.name, given.name, root, readers)
    if found is None:
        advice = "Its name must end as the reader's offer says, and it must not be a side file of another."
        notes.error("example-unclaimed", given.name, "no dataset begins with this file", advice)
    elif sum(file.size for file in found.plan.files) > MAX_EXAMPLE:
        notes.error("example-large", given.name, f"an example has at most {MAX_EXAMPLE >> 20} MiB; cut it down")
        return None
    return found


def _surveyed(name: str, entry: str, root: Path, readers: Sequence[ReaderOffer]) -> Example | None:
    files = [(path.relative_to(root).as_posix(), path.stat().st_size) for path in root.rglob("*") if path.is_file()]
    plans = (plan for plan in survey(files, readers) if plan.entry == entry and plan.offers)
    return next((Example(name, root, replace(plan, id="d1")) for plan in plans), None)


def read_whole(example: Example, mine: Offers, extractor: Extractor, notes: Notes) -> Extraction:
    """Read an example as it is: recognised, without complaint, with fields, extensions and picture as promised."""
    started = time.monotonic()
    found = extractor.extract(example.plan, example.root)
    if (seconds := time.monotonic() - started) > _SLOW:
        notes.hint("slow", example.name, f"reading it took {seconds:.0f} s, a worker's start included")
    _recognised(example, found, mine, notes)
    for issue in found.issues:
        own = any(str(issue["code"]).startswith(f"{check.name}-") for check in mine.of(CheckOffer))
        mild = own or (issue.get("severity") == "info" and issue["code"] not in _OWN_FAULTS)
        note = notes.hint if mild else notes.error
        note("example-issue", example.name, f"{issue['code']}: {issue['message']}")
    if not found.signals:
        notes.error("no-signal", example.name, "the reader found no signal")
    _promised(example, found, mine, notes)
    try:
        require_admissible(dataset_of(example.plan, found))
    except DiademError as error:
        notes.error("record", example.name, f"the record would refuse it: {error.line}")
    return found


def _recognised(example: Example, found: Extraction, mine: Offers, notes: Notes) -> None:
    """That it is read by whom it should be, for the reasons that the offer names."""
    offers = {offer.name: offer for offer in mine.readers}
    fields, previews, checks = mine.of(FieldsOffer), mine.of(PreviewOffer), mine.of(CheckOffer)
    formats = [*(one.formats for one in fields), *(one.formats for one in previews), *(one.formats for one in checks)]
    wanted = {name for names in formats for name in names} | set(offers)
    if wanted and not {found.format, "*"} & wanted:
        expected = " or ".join(f"'{name}'" for name in sorted(wanted))
        notes.error("not-recognised", example.name, f"it is read as '{found.format}', not as {expected}")
    offer = offers.get(found.format)
    if offer is not None and offer.magic and "magic" not in found.evidence and example.path.is_file():
        notes.error("magic", example.name, "it begins with none of the magic numbers of the offer")


def _promised(example: Example, found: Extraction, mine: Offers, notes: Notes) -> None:
    """Fields, extensions and a picture, where the plugin offers them for the format."""
    asked = {found.format, "*"}
    rules = tuple(f"{offer.name}/" for offer in mine.of(FieldsOffer) if offer.tables and asked & set(offer.formats))
    stated = [item for items in found.fields.values() for item in items if item["by"]["rule"].startswith(rules)]
    notes.checked["fields"] += len(stated)
    if rules and not stated:
        notes.error("no-field", example.name, "the plugin's tables make no field of it")
    known = {offer.namespace for offer in mine.of(SchemaOffer)}
    for namespace, extension in found.extensions.items():
        notes.checked["extensions"] += 1
        if not extension["validated"]:
            note = notes.error if namespace in known else notes.hint
            message = f"no plugin offers a schema for version {extension['version']} of '{namespace}'"
            note("extension-unjudged", example.name, message)
    previews = [offer.name for offer in mine.of(PreviewOffer) if asked & set(offer.formats)]
    drawn = str(found.extraction.get("preview", ""))
    if previews and not any(drawn.startswith(f"drawn by {name} of") for name in previews):
        notes.error(
            "preview", example.name, f"the plugin's preview is not the one that is shown ({drawn or 'DIADEM’s'})"
        )


def read_elsewhere(
    example: Example,
    found: Extraction,
    root: Path,
    readers: Sequence[ReaderOffer],
    extractor: Extractor,
    notes: Notes,
) -> None:
    """That a second look, and a copy with another name, place and time, say the same as `found`."""
    again = extractor.extract(example.plan, example.root)
    if changed := difference(stated_by(found), stated_by(again)):
        notes.error("unsteady", example.name, f"read twice, it says different things: {changed}")
    other = renamed(example, root, readers)
    if other is None:
        advice = "Write the patterns of groups with {stem}."
        notes.hint("names-fixed", example.name, "a renamed copy is no longer a complete dataset", advice)
        return
    notes.checked["renamed copies"] += 1
    if changed := difference(stated_by(found), stated_by(extractor.extract(other.plan, other.root))):
        advice = "A record states what the file states: not its name, place or time."
        notes.error("name-or-time", example.name, f"a renamed copy says something else: {changed}", advice)


def renamed(example: Example, root: Path, readers: Sequence[ReaderOffer]) -> Example | None:
    """The files in another folder, the primary's stem replaced in all names, as if written years ago.

    None where they are no whole dataset any more.
    """
    shutil.copytree(example.root, root)
    stem = example.plan.entry.split(".")[0]
    for path in sorted(root.iterdir()):
        if path.name.startswith(stem):
            path.rename(path.with_name(_NEW_STEM + path.name[len(stem) :]))
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, (_LONG_AGO, _LONG_AGO))
    found = _surveyed(example.name, _NEW_STEM + example.plan.entry[len(stem) :], root, readers)
    return found if found is not None and len(found.files) == len(example.files) else None


def read_spoiled(
    example: Example, found: Extraction, mine: Offers, root: Path, extractor: Extractor, notes: Notes
) -> None:
    """That no spoiled copy hangs or kills the worker, and that the plugin's reader notices what is incomplete."""
    shapes = [signal["shape"] for signal in found.signals]
    deaths = 0
    for what, copy, incomplete in spoiled_copies(example, root):
        notes.checked["spoiled copies"] += 1
        read = extractor.extract(copy.plan, copy.root)
        where = f"{example.name}, {what}"
        for issue in read.issues:
            if issue["code"] in _DEATHS:
                notes.error(_death(issue), where, issue["message"], "Check sizes and counts before you trust them.")
            elif "of no known form" in issue["message"]:
                notes.error("form", where, issue["message"])
        deaths += any(issue["code"] in _DEATHS for issue in read.issues)
        if deaths >= _MOST_DEATHS:
            notes.hint("not-all-tried", example.name, f"after {deaths} dead workers no more spoiled copies were tried")
            return
        if incomplete and found.format in {offer.name for offer in mine.readers} and read.signals and not read.issues:
            same = [signal["shape"] for signal in read.signals] == shapes
            note = notes.error if same else notes.hint
            note("incomplete-unseen", where, "it is read without complaint, as if it were complete", "Raise an error.")


def _death(issue: Mapping[str, Any]) -> str:
    """In one word how a worker died."""
    if issue["code"] == "memory-limit":
        return "memory"
    late = "no answer" in issue["message"] or "processor time" in issue["message"]
    return "hang" if late else "crash"


#: Bytes at the beginning in which headers lie.
_HEAD = 4096
_DIGITS = re.compile(rb"\d+")
#: Changes of the head by chance.
_BY_CHANCE = 12
#: How other files than the primary are spoiled.
_SIDE_FAULTS = frozenset({"empty", "cut in half", "random bytes"})


def spoiled_copies(example: Example, root: Path) -> Iterator[tuple[str, Example, bool]]:
    """Spoil the primary in every way, each other file in some, and leave each other file out.

    What was done, the copy, and whether a reader should notice that it is less. A copy is removed when the next one is
    asked for.
    """
    number = 0
    for place, name in enumerate(example.files):
        data = (example.root / name).read_bytes()
        faults = list(spoiled(data)) if data else []
        if place:  # not the primary
            sides = [
                replace(item, name=f"{name} {item.name}", incomplete=False)
                for item in faults
                if item.name in _SIDE_FAULTS
            ]
            faults = [*sides, Spoiled(f"without {name}", None)]
        for item in faults:
            folder, number = root / str(number), number + 1
            yield item.name, _with(example, folder, name, item.data), item.incomplete
            shutil.rmtree(folder)


def _with(example: Example, root: Path, name: str, data: bytes | None) -> Example:
    """A copy of the dataset in which a file holds something else, or (None) is missing."""
    shutil.copytree(example.root, root)
    if data is None:
        (root / name).unlink()
    else:
        (root / name).write_bytes(data)
    files = [
        replace(file, size=(root / file.path).stat().st_size)
        for file in example.plan.files
        if data is not None or file.path != name
    ]
    return Example(example.name, root, replace(example.plan, files=tuple(files)))


# -- as disks, cables, other programs and enemies leave a file ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spoiled:
    """What was done to a file, what is left of it (None: it is gone), and whether a reader should notice."""

    name: str
    data: bytes | None
    incomplete: bool = False


def spoiled(data: bytes, seed: int = 0) -> Iterator[Spoiled]:
    """Spoil a file of at least one byte in some thirty ways, the same ones for the same seed."""
    random_ = random.Random(seed)  # noqa: S311 - faults, not secrets
    size = len(data)
    yield Spoiled("empty", b"", incomplete=True)
    for name, kept in (("cut to an eighth", size // 8), ("cut in half", size // 2)):
        yield Spoiled(name, data[:kept], incomplete=True)
    for name, kept in (("cut to its first 16 bytes", 16), ("cut by one byte", size - 1)):
        yield Spoiled(name, data[:kept])
    yield Spoiled("random bytes", random_.randbytes(size))
    yield Spoiled("random bytes after the first 32", data[:32] + random_.randbytes(max(0, size - 32)))
    yield Spoiled("zeros in its second half", data[: size // 2] + bytes(size - size // 2))
    yield Spoiled("zeros from the first 64 bytes on", data[:64] + bytes(max(0, size - 64)))
    yield Spoiled("written twice over", data + data)
    yield from _numbers(data)
    for number in range(_BY_CHANCE):
        yield Spoiled(f"random bytes of the head changed ({number + 1})", _changed(data, random_))


def _numbers(data: bytes) -> Iterator[Spoiled]:
    """Every number at the beginning huge, or negative, or none: as texts, and as binary words."""
    head, rest = data[:_HEAD], data[_HEAD:]
    for text in (b"999999999999", b"-1", b"0", b"1e308", b"nan"):
        yield Spoiled(f"every number of the head is {text.decode()}", _DIGITS.sub(text, head) + rest)
    for word, name in ((b"\xff\xff\xff\x7f", "the largest"), (b"\xff\xff\xff\xff", "-1"), (b"\0\0\0\0", "0")):
        for start in (4, 16, 64):
            spoilt = head[:start] + word * ((len(head[start:256]) + 3) // 4) + head[256:]
            yield Spoiled(f"every binary number from byte {start} on is {name}", spoilt + rest)


def _changed(data: bytes, random_: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(8):
        changed[random_.randrange(min(_HEAD, len(data)))] = random_.randrange(256)
    return bytes(changed)


# -- through a package ----------------------------------------------------------------------------------------------


def archive(
    example: Example, found: Extraction, signals: Sequence[Mapping[str, Any]], store: Path, notes: Notes
) -> None:
    """Pack an example, and compare what the package says and gives with what was read before."""
    notes.checked["packages"] += 1
    try:
        packed = api.pack(example.root, store)
        opened = api.open(packed.url)
        document = opened.record.to_dict()
        validate_record(document)
    except DiademError as error:
        notes.error("package", example.name, f"no package can be made of it: {error.line}")
        return
    if changed := difference(packed.record.to_dict(), document):
        notes.error("package", example.name, f"the package says something else when it is opened again: {changed}")
    if not opened.verify().ok:
        notes.error("package", example.name, "the package is not intact")
    sealed: Mapping[str, Any] = next(
        (item for item in document["datasets"] if item["files"][0]["path"] == example.files[0]), {}
    )
    kept = {key: sealed.get(key, {}) for key in ("signals", "fields", "extensions")}
    if changed := difference(stated_by(found), kept):
        notes.error("package", example.name, f"the record in the package is another: {changed}")
    for lazy in (True, False):
        _load(example, opened, signals, notes, lazy=lazy)


def _load(
    example: Example, package: Package, signals: Sequence[Mapping[str, Any]], notes: Notes, *, lazy: bool
) -> None:
    """Load the dataset as HyperSpy signals, and compare their arrays with the reader's."""
    how = "lazily" if lazy else "whole"
    try:
        loaded = package.load(example.files[0], lazy=lazy)
        arrays = [item.data for item in (loaded if isinstance(loaded, list) else [loaded])]
        digests = [digest(array) for array in arrays]
    except Exception as error:  # the reader's own, or HyperSpy's on what the reader returned
        notes.error("load", example.name, f"loaded {how}, it fails: {type(error).__name__}: {line_of(error)}")
        return
    notes.checked["signals loaded"] += len(digests)
    read = [(signal["shape"], signal["sha256"]) for signal in signals]
    given = [(list(array.shape), text) for array, text in zip(arrays, digests, strict=True)]
    if signals and read != given:
        notes.error("load", example.name, f"loaded {how}, the arrays are not those that the reader returns")


def stated_by(found: Extraction) -> dict[str, Any]:
    """What an extraction says of the content: signals, fields, extensions."""
    return {"signals": found.signals, "fields": found.fields, "extensions": found.extensions}


def dataset_of(plan: DatasetPlan, found: Extraction) -> dict[str, Any]:
    """The dataset as a record would hold it, its bytes left aside."""
    files: list[dict[str, Any]] = [
        {"id": file.id, "path": file.path, "role": file.role, "bytes": file.size, "sha256": "0" * 64}
        for file in plan.files
    ]
    files[0].update(format=found.format, format_evidence=list(found.evidence))
    about = {"id": plan.id, "files": files, "raw": [], "issues": found.issues, "extraction": found.extraction}
    return {**about, **stated_by(found)}
