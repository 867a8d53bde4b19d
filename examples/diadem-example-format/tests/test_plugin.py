"""The plugin as DIADEM uses it: one call of the kit, then the values of an example, each known from elsewhere."""

from pathlib import Path

import pytest

import diadem
from diadem.testing import check_plugin

DATA = Path(__file__).parent / "data"


def test_the_plugin_keeps_every_promise() -> None:
    report = check_plugin("diadem-example-format", examples=[DATA / "zno_film.xyf"])
    assert report.ok
    assert report.checked["examples"] == 1


def test_values() -> None:
    dataset = diadem.extract(DATA / "zno_film.xyf").datasets[0]
    assert dataset.primary.format == "xyf"
    assert [file.path for file in dataset.files] == ["zno_film.xyf", "zno_film.xyl"]
    assert dataset.signals[0].shape == (32, 48)
    assert dataset.value("beam.acceleration_voltage") == 10_000
    assert dataset.value("scan.dwell_time") == pytest.approx(0.005)
    assert dataset.value("stage.x") == pytest.approx(1.25e-3)
    assert dataset.value("stage.y") == pytest.approx(-0.5e-3)
    assert dataset.value("time.acquired_start") == "2026-03-14T15:09:26+01:00"
    assert dataset.value("image.pixel_size_x") == pytest.approx(25e-9)
    assert dataset.value("detector.name") == "PMT 2"


@pytest.mark.parametrize(("old", "new"), [("#DATA\n", "#DATE\n"), ("Rows = 32", "Rows = 0"), ("25 nm", "25")])
def test_a_header_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str) -> None:
    content = (DATA / "zno_film.xyf").read_bytes()
    assert old.encode() in content
    (tmp_path / "a.xyf").write_bytes(content.replace(old.encode(), new.encode()))
    dataset = diadem.extract(tmp_path / "a.xyf").datasets[0]
    assert "reader-failed" in [issue["code"] for issue in dataset.issues]
    assert not dataset.signals
