"""Texts of instruments: numbers with units, dates in several languages, INI, XML."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.hooks.text import ini, number, positive, quantity, xml
from diadem.terms.dates import dates, exif, iso, moment_of, moments_of, month


def local(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> dt.datetime:
    return dt.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - what a file says without a zone


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50.00 K X", (50.0, "K X")),
        ("  3,9 mm", (3.9, "mm")),
        ("4.48e-006 mbar", (4.48e-6, "mbar")),
        ("-0,5°", (-0.5, "°")),
        ("8100 um", (8100.0, "um")),
        ("5um", (5.0, "um")),
        ("InLens", None),
        ("", None),
    ],
)
def test_quantities(text: str, expected: tuple[float, str] | None) -> None:
    assert quantity(text) == expected


def test_numbers_are_the_whole_text() -> None:
    assert number("1e-005") == 1e-5
    assert number("5 kV") is None
    assert number("") is None
    assert positive("0") is None
    assert positive("-1") is None
    assert positive("2,5") == 2.5


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("25 Sep 2018", (2018, 9, 25)),
        ("3 März 2011", (2011, 3, 3)),
        ("3. Mrz. 2011", (2011, 3, 3)),
        ("23 de mar. de 2011", (2011, 3, 23)),
        ("1 juin 2010", (2010, 6, 1)),
        ("1 juillet 2010", (2010, 7, 1)),
        ("2 août 2012", (2012, 8, 2)),
        ("9 Okt 2020", (2020, 10, 9)),
        ("9 dic 2020", (2020, 12, 9)),
        ("2019/03/04", (2019, 3, 4)),
        ("2019-03-04", (2019, 3, 4)),
        ("06/13/2016", (2016, 6, 13)),
        ("13.06.2016", (2016, 6, 13)),
    ],
)
def test_days(text: str, day: tuple[int, int, int]) -> None:
    assert dates(text) == [dt.date(*day)]


def test_no_days() -> None:
    assert dates("31 Feb 2011") == []
    assert dates("2011/13/01") == []
    assert dates("yesterday") == []
    assert len(dates("03/04/2019")) == 2
    assert month("xyz") is None


def test_another_stamp_decides() -> None:
    assert len(moments_of("03/04/2019", "10:00:00")) == 2
    assert moment_of("03/04/2019", "10:00:00") is None
    assert moment_of("03/04/2019", "10:00:00", local(2019, 4, 3, 10, 1)) == local(2019, 4, 3, 10)
    assert moment_of("03/04/2019", "10:00:00", local(2020, 4, 3, 10, 1)) is None
    assert moment_of("13/04/2019", "25:00:00") is None
    assert moment_of("06/13/2016", "05:06:40 PM") == local(2016, 6, 13, 17, 6, 40)


def test_iso() -> None:
    zone = dt.timezone(dt.timedelta(hours=9))
    assert iso("2019-11-27T16:11:26.6205405+09:00") == dt.datetime(2019, 11, 27, 16, 11, 26, 620540, zone)
    assert iso("2024-05-01T12:56:16") == local(2024, 5, 1, 12, 56, 16)
    assert iso("2024-05-01T12:56:16Z") == dt.datetime(2024, 5, 1, 12, 56, 16, tzinfo=dt.UTC)
    assert iso("2024-13-01T12:56:16") is None
    assert iso("05/01/2024 12:56") is None
    assert exif("2022:02:10 13:00:35") == local(2022, 2, 10, 13, 0, 35)
    assert exif("2022:02:10") is None


def test_ini() -> None:
    text = "a=1\r\n[B]\r\nx = 2 \r\nx=3\r\nno entry\r\n[C]\r\ny=p=q\r\n"
    assert ini(text) == {"": {"a": "1"}, "B": {"x": "2"}, "C": {"y": "p=q"}}


def test_xml() -> None:
    root, tree = xml(b'\x00<n:a xmlns:n="u"><b>1</b><b>2</b><c unit="m">3</c><d/></n:a>\x01\x00')
    assert root == "a"
    assert tree == {"b": ["1", "2"], "c": {"@unit": "m", "#text": "3"}, "d": ""}


def test_bombs_and_depth_are_exceptions() -> None:
    entities = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(12))
    with pytest.raises(SyntaxError):
        xml(f'<!DOCTYPE r [<!ENTITY a0 "ha">{entities}]><r>&a12;</r>'.encode())
    with pytest.raises(RecursionError):
        xml(b"<a>" * 100_000 + b"</a>" * 100_000)


@given(st.text(max_size=60), st.text(max_size=30))
def test_any_text_has_an_answer(text: str, other: str) -> None:
    quantity(text)
    number(text)
    dates(text)
    moment_of(text, other)
    iso(text)
    exif(text)
    ini(text)


@given(st.dates(dt.date(1975, 1, 1), dt.date(2100, 12, 31)))
def test_every_date_comes_back(day: dt.date) -> None:
    assert dates(day.strftime("%Y-%m-%d")) == [day]
    assert day in dates(day.strftime("%m/%d/%Y"))
    assert day in dates(day.strftime("%d.%m.%Y"))
