"""Searches find what looking at every dataset finds."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.catalogue import Catalogue, PackageEntry, candidates, matching, page
from diadem.catalogue.query import MAX_DEPTH, MAX_TERMS
from diadem.catalogue.words import padded
from diadem.errors import UsageError
from tests.catalogue.making import NOW, dataset, entry, package_id

_MATERIALS = ("ZnO", "GaN", "Si")
_DETECTORS = ("HAADF", "BF", "Super-X")
_KEYS = ("beam.acceleration_voltage", "scan.dwell_time", "detector.name", "instrument.model")


def _packages() -> list[PackageEntry]:
    """Sixty packages of none to four datasets in which everything comes together with everything."""
    choices = itertools.cycle(itertools.product((80e3, 200e3, 300e3), (1e-6, 5e-6, None), _DETECTORS, ("Titan", "ARM")))
    made = []
    for number in range(60):
        datasets = []
        for index, values in zip(range(1, number % 5 + 1), choices, strict=False):
            fields = {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}
            datasets.append(dataset(index, f"{values[2]}_{number}_{index}.tif", fields))
        material = _MATERIALS[number % 3]
        day = None if number % 17 == 0 else datetime.date(2024, 1, 1) + datetime.timedelta(days=11 * number)
        more = {"sample": {"name": f"{material} S-{number % 4}"}} if number % 2 else {}
        made.append(entry(f"{material} {number}", datasets, date=day, bytes=number * 1000, **more))
    return made


PACKAGES = _packages()


@pytest.fixture(scope="module")
def filled(new_address: Callable[[], str]) -> Iterator[Catalogue]:
    with Catalogue.open(new_address(), create=True) as catalogue:
        fill(catalogue, PACKAGES)
        yield catalogue


def fill(catalogue: Catalogue, entries: Sequence[PackageEntry]) -> None:
    with catalogue.together():
        for one in entries:
            catalogue.add_package(one)
            catalogue.set_replica(one.id, "lab", one.path, state="present", written=NOW)
            if one.bytes % 2000 == 0:
                catalogue.set_replica(one.id, "nas", one.path, state="present", written=NOW)
            catalogue.set_replica(one.id, "attic", one.path, state="missing")


# Looking at every dataset: each condition is a text for the catalogue and a function of one dataset for us.


@dataclasses.dataclass(frozen=True)
class Seen:
    """One dataset with its package; without fields, where the package has no dataset."""

    package: PackageEntry
    path: str
    fields: dict[str, Any]

    def texts(self) -> list[str]:
        own = [str(value) for value in self.fields.values() if isinstance(value, str)]
        more = [self.path, self.path.rpartition(".")[2], "tiff"] if self.path else []
        sample = [str(self.package.record.sample.get("name", ""))]
        return [*own, *more, *sample, self.package.title, self.package.owner]

    def says(self, word: str) -> bool:
        return any(padded(word) in padded(text) for text in self.texts())

    def value(self, key: str) -> float:
        return float(self.fields.get(key, float("nan")))


@functools.cache
def all_seen() -> dict[str, list[Seen]]:
    return {one.id: seen(one) for one in PACKAGES}


def seen(package: PackageEntry) -> list[Seen]:
    found = [
        Seen(package, item.path, {key: item.value(key) for key in item.fields}) for item in package.record.datasets
    ]
    return found or [Seen(package, "", {})]


def always(one: Seen) -> bool:
    return bool(one)


def never(one: Seen) -> bool:
    return not one


CONDITIONS: dict[str, Callable[[Seen], bool]] = {
    "ZnO": lambda one: one.says("ZnO"),
    "HAADF": lambda one: one.says("HAADF"),
    '"Super-X"': lambda one: one.says("super x"),
    "tit*": lambda one: any(" tit" in padded(text) for text in one.texts()),
    "alice": always,
    "nothing": never,
    "kV=200": lambda one: one.value(_KEYS[0]) == 200e3,
    "kV>100": lambda one: one.value(_KEYS[0]) > 100e3,
    "dwell<=2us": lambda one: one.value(_KEYS[1]) <= 2e-6,
    "dwell>2us": lambda one: one.value(_KEYS[1]) > 2e-6,
    "detector:BF": lambda one: one.fields.get(_KEYS[2]) == "BF",
    "detector=super-x": lambda one: one.fields.get(_KEYS[2]) == "Super-X",
    "instrument:ARM": lambda one: one.fields.get(_KEYS[3]) == "ARM",
    "instrument!=ARM": lambda one: one.fields.get(_KEYS[3]) != "ARM",
    "sample:S-2": lambda one: "S-2" in str(one.package.record.sample.get("name", "")),
    "file:haadf": lambda one: "HAADF" in one.path,
    "date:2024": lambda one: one.package.date is not None and one.package.date.year == 2024,
    "date>=2025-03": lambda one: one.package.date is not None and one.package.date >= datetime.date(2025, 3, 1),
    "size>30kB": lambda one: one.package.bytes > 30_000,
    "datasets>=3": lambda one: len(one.package.record.datasets) >= 3,
    "id:0": lambda one: one.package.id[7] == "0" or one.package.payload_id[0] == "0",
    "store:lab": always,
    "store:attic": never,
    "copies>=2": lambda one: one.package.bytes % 2000 == 0,
}


@dataclasses.dataclass(frozen=True)
class Question:
    text: str
    holds: Callable[[Seen], bool]


def _both(left: Question, right: Question) -> Question:
    return Question(f"({left.text} {right.text})", lambda one: left.holds(one) and right.holds(one))


def _either(left: Question, right: Question) -> Question:
    return Question(f"({left.text} or {right.text})", lambda one: left.holds(one) or right.holds(one))


def _not(part: Question) -> Question:
    return Question(f"(not {part.text})", lambda one: not part.holds(one))


singles = st.sampled_from([Question(text, holds) for text, holds in CONDITIONS.items()])
questions = st.recursive(
    singles,
    lambda inner: st.one_of(st.builds(_both, inner, inner), st.builds(_either, inner, inner), st.builds(_not, inner)),
    max_leaves=6,
)


def expected(question: Question) -> list[tuple[str, list[str]]]:
    """Packages newest first, those of a day by id, and the paths of the datasets that match."""
    ordered = sorted(sorted(PACKAGES, key=lambda one: one.id), key=lambda one: str(one.date or ""), reverse=True)
    found = [(one.id, [item.path for item in all_seen()[one.id] if question.holds(item)]) for one in ordered]
    return [(id_, paths) for id_, paths in found if paths]


def check(catalogue: Catalogue, question: Question) -> None:
    result = catalogue.search(question.text, limit=None)
    wanted = expected(question)
    assert [row.id for row in result] == [id_ for id_, _ in wanted]
    assert (result.total, result.exact) == (len(wanted), True)
    for row, (_, paths) in zip(result, wanted, strict=True):
        assert [item.path for item in row.matched] == [path for path in paths if path]
        assert row.matching == len([path for path in paths if path])


@pytest.mark.parametrize("text", CONDITIONS)
def test_single_conditions(filled: Catalogue, text: str) -> None:
    check(filled, Question(text, CONDITIONS[text]))
    check(filled, _not(Question(text, CONDITIONS[text])))


@given(question=questions)
@settings(max_examples=100, deadline=None)
def test_any_question(filled: Catalogue, question: Question) -> None:
    check(filled, question)


@given(question=questions)
@settings(max_examples=15, deadline=None)
def test_however_it_is_gone_about(filled: Catalogue, question: Question) -> None:
    """From rare numbers, or from all packages; few candidates at a time, or many; in short windows or all at once."""
    for few, first, chunk in ((0, 3, 4), (1, 1, 1), (20_000, 2, 7)):
        with pytest.MonkeyPatch.context() as changed:
            changed.setattr(candidates, "FEW", few)
            changed.setattr(matching, "_FIRST", first)
            changed.setattr(matching, "PAGE", first)
            changed.setattr(matching, "_FEWEST", first)
            changed.setattr(matching, "_MOST", chunk)
            changed.setattr(candidates, "_FIRST_WINDOW", first)
            changed.setattr(candidates, "PAGE", chunk)
            check(filled, question)


@given(question=questions, limit=st.integers(0, 20), offset=st.integers(0, 70), counted=st.sampled_from([0, 5, 1000]))
@settings(max_examples=100, deadline=None)
def test_pages(filled: Catalogue, question: Question, limit: int, offset: int, counted: int) -> None:
    """A page is a piece of the whole, and a total that is not exact is no more than the whole.

    Beyond a page that is full nothing is looked for in further windows.
    """
    wanted = [id_ for id_, _ in expected(question)]
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(page, "COUNTED", counted)
        changed.setattr(candidates, "COUNTED_IN_ORDER", 2 * counted + 1)
        changed.setattr(candidates, "COUNTED", counted + 1)
        changed.setattr(candidates, "_FIRST_WINDOW", counted if counted == 1000 else 1 + counted % 7)
        changed.setattr(matching, "PAGE", 1 + counted)
        newest = filled.search(question.text, limit=limit, offset=offset)
        oldest = filled.search(question.text, limit=limit, offset=offset, order="oldest")
    assert [row.id for row in newest] == wanted[offset : offset + limit]
    assert [row.id for row in oldest] == wanted[::-1][offset : offset + limit]
    for result in (newest, oldest):
        assert result.total == len(wanted) if result.exact else result.total <= len(wanted)
        if counted == 1000:
            assert result.exact


@given(st.permutations(range(12)))
@settings(max_examples=4, deadline=None)
def test_the_order_of_coming_does_not_show(new_address: Callable[[], str], order: list[int]) -> None:
    """A catalogue that is made anew answers as the first did, byte for byte."""
    answers = []
    for numbers in (range(12), order):
        with Catalogue.open(new_address(), create=True) as catalogue:
            fill(catalogue, [PACKAGES[number] for number in numbers])
            for number in numbers:
                if number % 3 == 0:
                    catalogue.add_package(PACKAGES[number])
            asked = ("", "ZnO", "kV>=200 dwell<2us", "not HAADF", "ZnO or kV=80", "date:2024 BF")
            answers.append([catalogue.search(text, limit=5).to_dict() for text in asked])
    assert answers[0] == answers[1]


def test_two_packages_with_the_same_beginning(catalogue: Catalogue) -> None:
    """Should 41 bits of the ids of two packages of one day be equal, both are kept and found."""
    digits = "ab" * 6
    ids = [f"diadem:{digits}{digit * 52}" for digit in "012"]
    for id_ in ids:
        catalogue.add_package(entry(id_[-1], id=id_))
    catalogue.add_package(entry("again", id=ids[1]))
    assert {row.id for row in catalogue.search("")} == set(ids)
    assert catalogue.get(ids[1]).title == "again"
    with pytest.raises(UsageError, match="begins several ids"):
        catalogue.get(digits)


def test_chains_are_one_session(catalogue: Catalogue) -> None:
    first, second, third = (package_id(name) for name in ("a", "b", "c"))
    catalogue.add_package(entry("c", predecessor=second))
    assert catalogue.get(third).session == second, "the earliest that is known of"
    catalogue.add_package(entry("b", predecessor=first))
    catalogue.add_package(entry("a"))
    assert {row.session for row in catalogue.search("")} == {first}
    assert [catalogue.get(id_).continues for id_ in (first, second, third)] == [None, first, second]
    assert catalogue.continuations(first) == (second,)


def test_a_ring_of_predecessors_ends(catalogue: Catalogue) -> None:
    names = ("a", "b", "c")
    for own, before in zip(names, (*names[1:], names[0]), strict=True):
        catalogue.add_package(entry(own, predecessor=package_id(before)))
    assert {row.session for row in catalogue.search("")} == {min(map(package_id, names))}


def test_hints(catalogue: Catalogue) -> None:
    catalogue.add_package(entry("nanorods", [dataset(1, "a.tif", {"image.pixel_size_x": 1e-9})]))
    assert "nanorod* also matches" in catalogue.search("nanorod").hint
    assert "5 was taken for 5 m" in catalogue.search("pixel>5").hint
    assert "voltage=300kV" in catalogue.search("nanorods 300kV").hint
    assert "pixel=0.1nm" in catalogue.search("0.1nm").hint
    assert catalogue.search("4dx").hint == "", "nothing begins so"
    hint = catalogue.search("a.tif tif nanorod").hint
    assert "nanorod* also matches" in hint, "the word that is not there, not the first"
    assert catalogue.search("nanorods").hint == ""
    assert catalogue.search("not nanorods").hint == ""


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows has no zone for one process")
def test_days_as_people_say_them(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session has the day of its place; what was archived is in UTC, and asked for by the day here."""
    now = datetime.datetime.now(datetime.UTC)
    for zone in ("America/Los_Angeles", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        here = now.astimezone()
        midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
        moments = {"today": midnight, "yesterday": midnight - datetime.timedelta(seconds=1)}
        for name, moment in moments.items():
            at = moment.astimezone(datetime.UTC)
            catalogue.add_package(entry(f"{name} in {zone}", date=moment.date(), ingested_at=at))
        for name in moments:
            for key in ("ingested", "date"):
                found = {row.title for row in catalogue.search(f'{key}:{name} "{zone}"')}
                assert found == {f"{name} in {zone}"}, (zone, key, here)
        assert catalogue.search(f'ingested>=yesterday "{zone}"').total == 2
    monkeypatch.undo()
    time.tzset()
    with pytest.raises(UsageError, match="'tomorow' is not a date"):
        catalogue.search("date:tomorow")


def test_wrong_pages(catalogue: Catalogue) -> None:
    with pytest.raises(UsageError, match="newest, oldest"):
        catalogue.search("", order="largest")
    with pytest.raises(UsageError):
        catalogue.search("", offset=-1)


def test_a_phrase_does_not_go_from_one_text_to_the_next(catalogue: Catalogue) -> None:
    fields = {"detector.name": "HAADF", "instrument.model": "Titan"}
    catalogue.add_package(entry("one", [dataset(1, "a.tif", fields), dataset(2, "b.tif", {})]))
    assert catalogue.search('"HAADF Titan"').total == 0
    assert catalogue.search("HAADF Titan").total == 1


def test_values_of_signals_and_lists(catalogue: Catalogue) -> None:
    """Every value that is stated is found, whoever states it, and each element of a list."""
    fields = {"detector.name": ("HAADF", "Super-X"), "sample.elements": ["Zn", "O"]}
    signals = [{"id": "s1", "kind": "spectrum", "title": "EDS sum", "shape": [4]}]
    catalogue.add_package(entry("one", [dataset(1, "a.tif", fields, signals=signals, issues=[{"code": "truncated"}])]))
    for query in ("detector:haadf detector:super-x", "element:Zn element=O", "kind:spectrum", 'signal:"EDS sum"',
                  "issue:truncated", "format:tif", "format:tiff", "suffix=tif"):  # fmt: skip
        assert catalogue.search(query).total == 1, query
    assert catalogue.search("element:Z").total == 0


def test_the_longest_and_deepest_questions_are_answered(catalogue: Catalogue) -> None:
    catalogue.add_package(entry("one", [dataset(1, "a.tif", {"stage.x": 1e-6})]))
    deep = "one"
    for level in range(MAX_DEPTH):
        deep = (
            f"(sample:w{level} or instrument:w{level} or {deep} or kV=3)" if level % 2 else f"(one {deep} not b{level})"
        )
    assert catalogue.search(deep).total == 1
    count = range(MAX_TERMS - 1)
    for wide in (" or ".join(f"instrument:w{n}" for n in count), " or ".join(f"kV={n}" for n in count)):
        assert catalogue.search(f"{wide} or one").total == 1
    assert catalogue.search("one " + " ".join(f"not w{n}" for n in count)).total == 1
    assert catalogue.search(" ".join("stage.x>0" for _ in count) + " one").total == 1


def test_a_missing_catalogue(new_address: Callable[[], str]) -> None:
    with pytest.raises(FileNotFoundError, match=r"node\.reindex"):
        Catalogue.open(new_address())
