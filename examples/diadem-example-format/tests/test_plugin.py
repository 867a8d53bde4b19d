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
    extension = dataset.extensions["org.example.cl"]
    assert extension["validated"] is True
    assert extension["data"] == {
        "mirror": "parabolic",
        "shutter": "open",
        "slit_width": pytest.approx(2e-4),
        "grating_density": pytest.approx(6e5),
    }
    assert not dataset.issues


def changed(folder: Path, name: str, old: str, new: str) -> diadem.Record:
    """The record of a copy in which one text is another."""
    for file in DATA.iterdir():
        text = file.read_text("utf-8")
        (folder / file.name).write_text(text.replace(old, new) if file.name == name else text, "utf-8")
    return diadem.extract(folder / "zno_film.xyf")


def codes(record: diadem.Record) -> list[str]:
    return [issue["code"] for issue in record.datasets[0].issues]


def test_a_closed_shutter_is_seen(tmp_path: Path) -> None:
    assert codes(changed(tmp_path, "zno_film.xyl", "open", "closed")) == ["xyf-shutter-closed"]


def test_a_counter_at_its_end_is_seen(tmp_path: Path) -> None:
    row = (DATA / "zno_film.xyf").read_text("utf-8").split("#DATA\n")[1].split("\n")[0]
    full = " ".join(["65535"] * len(row.split()))
    assert codes(changed(tmp_path, "zno_film.xyf", row, full)) == ["xyf-saturated"]


def test_a_log_that_breaks_the_schema_is_named(tmp_path: Path) -> None:
    record = changed(tmp_path, "zno_film.xyl", "parabolic", "broken")
    assert codes(record) == ["extension-invalid"]
    assert "$.mirror" in record.datasets[0].issues[0]["message"]
    assert not record.datasets[0].extensions
