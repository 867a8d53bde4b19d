"""Dates as computers of any language write them mean the same in every family of formats."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.terms.dates import c_time, clock, clocks, dates, from_epoch, from_filetime, from_ole, iso, moment_of, month
from tests.plugins.gatan.dm_file import Writer
from tests.plugins.tiff.files import write

#: A date as one language writes it, and the day.
WRITTEN = {
    "27-Aug-16": "2016-08-27",
    "August 27, 2016": "2016-08-27",
    "5. Mai 2019": "2019-05-05",
    "03-Mrz-2018": "2018-03-03",
    "12-août-2011": "2011-08-12",
    "1 juin 2010": "2010-06-01",
    "12-mag-2019": "2019-05-12",
    "7-lug-2020": "2020-07-07",
    "23 de mar. de 2011": "2011-03-23",
    "2-dic-2020": "2020-12-02",
    "3-fev-2020": "2020-02-03",
    "4-out-2020": "2020-10-04",
    "5 mei 2019": "2019-05-05",
    "6-mrt-2019": "2019-03-06",
    "5-maj-2019": "2019-05-05",
    "8. des. 2019": "2019-12-08",
    "13/04/2019": "2019-04-13",
    "03.04.2019": "2019-04-03",
    "2019-04-03": "2019-04-03",
}
#: Nothing in the file says which number is the month.
OPEN = "03/04/2019"


def _gatan(path: Path, date: str) -> None:
    tags = {"DataBar": {"Acquisition Date": date, "Acquisition Time": "20:54:33"}}
    data = {"DataType": 2, "PixelDepth": 2, "Dimensions": {"Data0": 1, "Data1": 1}}
    image = {"ImageData": data, "ImageTags": tags}
    (path / "a.dm3").write_bytes(Writer(3).file({"ImageList": {"TagGroup0": image}}))


def _msa(path: Path, date: str) -> None:
    lines = ("FORMAT: EMSA/MAS Spectral Data File", "VERSION: 1.0", "NPOINTS: 2", "XPERCHAN: 1", "OFFSET: 0",
             "DATATYPE: Y", f"DATE: {date}", "TIME: 20:54:33", "SPECTRUM: ")  # fmt: skip
    text = "".join(f"#{line}\n" for line in lines) + "1.0,\n2.0,\n#ENDOFDATA: \n"
    (path / "a.msa").write_text(text, "utf-8")


def _zeiss(path: Path, date: str) -> None:
    lines = ["0", "0", "0", "1e-9", "5e4", "AP_DATE", f"Date :{date}", "AP_TIME", "Time :20:54:33", ""]
    write(path / "a.tif", {34118: "\r\n".join(lines).encode("cp1252")})


def _fei(path: Path, date: str) -> None:
    text = f"[User]\r\nDate={date}\r\nTime=20:54:33\r\n[System]\r\nSystemType=Quanta\r\n[Beam]\r\nBeam=EBeam\r\n"
    write(path / "a.tif", {34682: text.encode("cp1252")})


def _hitachi(path: Path, date: str) -> None:
    write(path / "a.tif")
    lines = ("[SemImageFile]", "InstructName=SU8000", "ImageName=a.tif", f"Date={date}", "Time=20:54:33", "")
    (path / "a.txt").write_text("\r\n".join(lines), "utf-16")


FAMILIES = {"gatan": _gatan, "msa": _msa, "zeiss": _zeiss, "fei": _fei, "hitachi": _hitachi}
Told = Mapping[tuple[str, str], Mapping[str, Any]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What the record says, by family and date."""
    root, found = tmp_path_factory.mktemp("dates"), {}
    for family, make in FAMILIES.items():
        for number, date in enumerate((*WRITTEN, OPEN)):
            (folder := root / family / str(number)).mkdir(parents=True)
            make(folder, date)
    for dataset in diadem.extract(root).to_dict()["datasets"]:
        family, number, _ = dataset["files"][0]["path"].split("/")
        found[family, [*WRITTEN, OPEN][int(number)]] = dataset
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.sweep(2)
def test_every_language_is_read_in_every_family(told: Told, family: str) -> None:
    read = {date: told[family, date]["fields"].get("time.acquired_start", [{}])[0].get("value") for date in WRITTEN}
    assert read == {date: f"{day}T20:54:33" for date, day in WRITTEN.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_date_that_can_be_two_is_no_value_but_an_issue(told: Told, family: str) -> None:
    dataset = told[family, OPEN]
    assert "time.acquired_start" not in dataset["fields"]
    (found,) = [one for one in dataset["issues"] if one["code"] == "ambiguous-date"]
    assert "'03/04/2019 20:54:33', which can be 2019-03-04T20:54:33 or 2019-04-03T20:54:33" in found["message"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("03/04/05", {"2005-03-04", "2005-04-03", "2003-04-05"}),
        ("27.08.16", {"2016-08-27"}),
        ("16-08-27", {"2016-08-27", "2027-08-16"}),
        ("samedi 27 août 2016", {"2016-08-27"}),
        ("sábado, 27 de agosto de 2016", {"2016-08-27"}),
        ("2016年8月27日", {"2016-08-27"}),
        ("5-lis-2020", set()),
        ("5-jui-2020", set()),
        ("27-Aug-2559", set()),
        ("1-2", set()),
    ],
)
def test_readings(text: str, expected: set[str]) -> None:
    assert {day.isoformat() for day in dates(text)} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("23:59:59.9999999", "23:59:59.999999"),
        ("14:05:09,25", "14:05:09.250000"), ("2:05:09 PM", "14:05:09"),
        ("12:00:00 AM", "00:00:00"), ("08.05.09 p. m.", "20:05:09"), ("下午 2:05:09", "14:05:09"),
        ("14h05", "14:05:00"),
        ("20:55:59 Uhr", "20:55:59"), ("8:55:59 odp.", None), ("25:00", None), ("10:11:12:345", None), ("noon", None),
    ],
)  # fmt: skip
def test_clocks(text: str, expected: str | None) -> None:
    found = clock(text)
    assert (found and found.isoformat()) == expected


def test_months_are_known_by_whole_names_and_by_three_letters_where_these_are_of_one() -> None:
    assert [month(name) for name in ("červen", "červenec", "juin", "juillet", "JUL", "Maio", "fevrier", "Aout")] == [
        *(6, 7, 6, 7, 7, 5, 2, 8)
    ]
    assert [month(name) for name in ("jui", "lis", "xyz", "ja", "")] == [None] * 5


def test_instants_and_days() -> None:
    moment = dt.datetime(2019, 7, 1, 18, 55, 56, tzinfo=dt.UTC)
    assert from_filetime(132064809560000000) == moment
    assert from_epoch(1562007356) == moment
    assert from_ole(43647.788842592592) == moment.replace(tzinfo=None)
    assert [from_ole(days) for days in (0.0, -1.0, 25570.0, float("nan"), 1e300, None, "43647")] == [None] * 7
    assert c_time("Mon Jul  1 18:55:56 2019\n") == moment.replace(tzinfo=None)


def test_another_stamp_of_the_file_decides() -> None:
    same = dt.datetime(2019, 4, 3, 21, 0, 0)  # noqa: DTZ001 - what a file says without a zone
    assert moment_of("03/04/2019", "20:54:33", same) == same.replace(hour=20, minute=54, second=33)
    assert moment_of("03/04/2019", "20:54:33", same.replace(year=2020)) is None
    assert iso("2019-11-27T16:11:26.6205405+09:00") is not None


@given(st.text(max_size=80))
def test_any_text_has_an_answer(text: str) -> None:
    assert all(day.year > 1974 for day in dates(text))
    assert len(clocks(text)) <= 2
    month(text)
    c_time(text)
