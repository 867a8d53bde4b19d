"""No value, signal, axis or issue of a real file is lost or changed unnoticed."""

from __future__ import annotations

import pytest

from diadem.archive.package import Package
from tests.extract.golden import COMMAND, GOLDEN, difference, lines


def test_the_record_of_every_real_file_is_what_it_was(corpus: Package) -> None:
    found = difference(GOLDEN.read_text(encoding="utf-8").splitlines(), lines(corpus.record.to_dict()["datasets"]))
    advice = f"Where this is meant: `{COMMAND}`, and an entry in CHANGELOG for each change of a value, with its reason."
    if found:
        pytest.fail("\n".join(["The record of the real files differs.", *found, advice]), pytrace=False)


def test_what_differs_is_told() -> None:
    before = ['a.dm3 | beam.mode | "STEM"', "a.dm3 | stage.x | 0.1 m", "b.dm3 | issue | truncated", "b.dm3 | s1 | 1"]
    now = ['a.dm3 | beam.mode | "TEM"', "b.dm3 | s1 | 1", "b.dm3 | s2 | 2"]
    assert difference(before, before) == []
    assert difference(before, now) == [
        "lost:",
        "- a.dm3 | stage.x | 0.1 m",
        "- b.dm3 | issue | truncated",
        "added:",
        "+ b.dm3 | s2 | 2",
        "changed:",
        '- a.dm3 | beam.mode | "STEM"',
        '+ a.dm3 | beam.mode | "TEM"',
    ]
