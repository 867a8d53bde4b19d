"""What the plugin adds, as DIADEM uses it."""

from pathlib import Path

import numpy as np
import pytest
from diadem_example_extras.light import counter

import diadem
from diadem.hooks.offers import Described
from diadem.testing import check_plugin

DATA = Path(__file__).parent / "data"


def test_the_plugin_keeps_every_promise() -> None:
    report = check_plugin("diadem-example-extras", examples=[DATA / "zno_film.xyf"])
    assert report.ok
    assert report.checked["extensions"] == 1


def changed(folder: Path, old: str, new: str) -> diadem.Record:
    """The record of a copy in whose log one text is another."""
    for file in DATA.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    log = folder / "zno_film.xyl"
    log.write_text(log.read_text("utf-8").replace(old, new), "utf-8")
    return diadem.extract(folder / "zno_film.xyf")


def test_how_light_was_collected() -> None:
    extension = diadem.extract(DATA / "zno_film.xyf").datasets[0].extensions["org.example.cl"]
    assert extension["validated"] is True
    assert extension["data"] == {
        "mirror": "parabolic",
        "shutter": "open",
        "slit_width": pytest.approx(2e-4),
        "grating_density": pytest.approx(6e5),
    }


def test_a_closed_shutter_is_seen(tmp_path: Path) -> None:
    dataset = changed(tmp_path, "open", "closed").datasets[0]
    assert [issue["code"] for issue in dataset.issues] == ["cl-light-shutter-closed"]


def test_a_log_that_breaks_the_schema_is_named(tmp_path: Path) -> None:
    dataset = changed(tmp_path, "parabolic", "broken").datasets[0]
    assert [issue["code"] for issue in dataset.issues] == ["extension-invalid"]
    assert "$.mirror" in dataset.issues[0]["message"]
    assert not dataset.extensions


def test_a_counter_at_its_end_is_seen() -> None:
    full = np.full((4, 4), 65535, np.uint16)
    assert [issue.code for issue in counter("", (), Described("xyf", arrays={"s1": full}))] == ["saturated"]
    assert not list(counter("", (), Described("xyf", arrays={"s1": full // 2})))
