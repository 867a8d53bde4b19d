"""Doubts: values that no instrument has, clocks that cannot be."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from diadem.api import extract
from diadem.extract.dataset import Siblings, doubts
from diadem.terms.fields import Field, all_fields

NOW = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)
NS = 10**9


def stated(**values: Any) -> dict[str, list[dict[str, Any]]]:
    return {key.replace("__", "."): [{"value": value}] for key, value in values.items()}


def codes(values: dict[str, list[dict[str, Any]]], mtimes: tuple[int, ...] = ()) -> list[str]:
    return [found["code"] for found in doubts(values, mtimes, NOW)]


BOUNDED = [known for known in all_fields().values() if known.plausible is not None]


@pytest.mark.parametrize("known", BOUNDED, ids=lambda known: known.key)
def test_a_value_is_doubted_outside_its_bounds_only(known: Field) -> None:
    bounds = known.plausible
    assert bounds is not None
    inside = (bounds.least or bounds.most / 10) * 1.01
    assert codes({known.key: [{"value": inside}]}) == []
    assert codes({known.key: [{"value": bounds.most * 1.01}]}) == ["implausible"]
    if bounds.least:
        assert codes({known.key: [{"value": bounds.least * 0.99}]}) == ["implausible"]
    assert codes({known.key: [{"value": -bounds.most * 1.01}]}) == ["implausible"]


def test_a_transmission_stage_is_small() -> None:
    assert codes(stated(stage__x=0.05)) == []
    assert codes(stated(stage__x=0.05, instrument__kind="tem")) == ["implausible"]
    assert codes(stated(stage__x=0.05, beam__mode="STEM")) == ["implausible"]
    assert codes(stated(stage__x=0.05, beam__mode="TEM uP SA Zoom Image")) == ["implausible"]
    assert codes(stated(stage__x=0.05, beam__mode="STEM", instrument__kind="sem")) == []


def test_pixel_and_magnification_belong_together() -> None:
    assert codes(stated(image__pixel_size_x=1e-9, optics__magnification=20_000)) == []
    assert codes(stated(image__pixel_size_x=1e-6, optics__magnification=500_000)) == ["implausible"]


def test_a_detector_does_not_live_longer_than_its_clock_ran() -> None:
    assert codes(stated(eds__live_time=9.0, eds__real_time=10.0)) == []
    assert codes(stated(eds__live_time=11.0, eds__real_time=10.0)) == ["implausible"]


@pytest.mark.parametrize(
    ("acquired", "written", "expected"),
    [
        ("2026-03-01T10:00:00", "2026-03-01T10:05:00", []),
        ("2026-03-01T10:00:00", "2026-02-28T10:00:00", []),  # a zone and a summer time apart
        ("2026-03-01T10:00:00", "2026-02-20T10:00:00", ["clock-disagrees"]),
        ("2026-03-01T10:00:00+01:00", "2026-03-09T10:00:00", []),
        ("2026-04-01T10:00:00Z", "2026-04-01T10:00:00", ["clock-disagrees"]),
        ("2026-03-01", "2026-03-01T10:00:00", []),
    ],
)
def test_the_clock_against_the_file_system(acquired: str, written: str, expected: list[str]) -> None:
    mtime = int(dt.datetime.fromisoformat(written).replace(tzinfo=dt.UTC).timestamp()) * NS
    assert codes(stated(time__acquired_start=acquired), (mtime,)) == expected


def test_an_end_before_the_start() -> None:
    values = stated(time__acquired_start="2026-03-05T10:00:00", time__acquired_end="2026-03-01T10:00:00")
    assert codes(values) == ["clock-disagrees"]


def test_a_clock_that_was_reset_is_seen_beside_its_siblings() -> None:
    siblings = Siblings()
    times = ["2026-03-01T10:00:00", "2026-03-01T11:00:00", "2026-03-02T10:00:00", "2009-01-01T00:03:00"]
    found = [list(siblings.doubts("a", stated(time__acquired_start=text))) for text in times]
    assert [[issue["code"] for issue in issues] for issues in found] == [[], [], [], ["clock-disagrees"]]
    assert list(siblings.doubts("another", stated(time__acquired_start="2009-01-01T00:03:00"))) == []


def test_a_doubt_stands_in_the_record_beside_the_value(tmp_path: Path) -> None:
    path = tmp_path / "spectrum.msa"
    header = {
        "FORMAT": "EMSA/MAS Spectral Data File", "VERSION": "1.0", "TITLE": "a spectrum", "NPOINTS": "3.",
        "NCOLUMNS": "1.", "XUNITS": "eV", "YUNITS": "counts", "DATATYPE": "Y", "XPERCHAN": "10.0", "OFFSET": "0.0",
        "BEAMKV   -kV": "2500.0",
    }  # fmt: skip
    lines = [f"#{key:<12}: {value}" for key, value in header.items()]
    path.write_text(
        "\n".join([*lines, "#SPECTRUM    : Spectral Data Starts Here", "1.,", "2.,", "3.,", "#ENDOFDATA   : "])
    )
    dataset = extract(path).datasets[0]
    assert dataset.value("beam.acceleration_voltage") == 2.5e6
    assert "implausible" in [found["code"] for found in dataset.issues]
