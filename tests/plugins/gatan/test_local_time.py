"""Dates and times of day in the languages of Windows, and how the instants of a file decide between readings."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.hooks.fields import AMBIGUOUS
from diadem.plugins.gatan.meaning import acquired
from diadem.terms.dates import c_time, clocks, dates, moments_of

AUGUST = dt.date(2016, 8, 27)


@pytest.mark.parametrize(
    "text",
    [
        "27.08.2016",  # German
        "27/08/2016",  # British, French, Spanish
        "8/27/2016",  # American
        "2016-08-27",  # Swedish, Korean
        "2016/08/27",  # Japanese
        "2016年8月27日",
        "2016. 8. 27.",  # Hungarian
        "27-08-2016",  # Dutch
        "27.8.2016 г.",  # Bulgarian
        "Saturday, August 27, 2016",
        "27. August 2016",
        "27 août 2016",
    ],
)
def test_a_date_that_can_only_be_one_day(text: str) -> None:
    assert dates(text) == [AUGUST]


def test_readings_are_given_where_several_are_days() -> None:
    assert dates("7/1/2019") == [dt.date(2019, 7, 1), dt.date(2019, 1, 7)]
    assert dates("08.08.2016") == [dt.date(2016, 8, 8)]
    assert set(dates("03/04/05")) == {dt.date(2005, 3, 4), dt.date(2005, 4, 3), dt.date(2003, 4, 5)}


@pytest.mark.parametrize("text", ["", "today", "99/99/9999", "1/2", "27.08.2559", "27 Kuu 2016", "0/0/0"])
def test_what_is_no_date(text: str) -> None:
    assert dates(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "20:55:59",
        "8:55:59 PM",
        "08:55:59 p.m.",
        "8:55:59 p. m.",
        "20.55.59",
        "下午 8:55:59",
        "午後 08:55:59",
        "오후 8:55:59",
    ],
)
def test_a_time_of_day_that_can_only_be_one(text: str) -> None:
    assert clocks(text) == [dt.time(20, 55, 59)]


def test_a_mark_that_is_not_known_leaves_both_halves_of_the_day() -> None:
    assert clocks("8:55:59 odp.") == [dt.time(8, 55, 59), dt.time(20, 55, 59)]
    assert clocks("20:55:59 Uhr") == [dt.time(20, 55, 59)]
    assert clocks("12:00:00 AM") == [dt.time(0)]
    assert clocks("12:00:00 PM") == [dt.time(12)]
    assert clocks("25:00") == clocks("") == clocks("noon") == []


@given(
    st.builds(dt.datetime.combine, st.dates(dt.date(1990, 1, 1), dt.date(2060, 1, 1)), st.times()).map(
        lambda one: one.replace(microsecond=0)
    )
)
def test_every_form_means_the_moment_that_it_was_written_for(moment: dt.datetime) -> None:
    for form in ("%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%d", "%d/%m/%y"):
        for clock in ("%H:%M:%S", "%I:%M:%S %p", "%H.%M.%S"):
            assert moment in moments_of(moment.strftime(form), moment.strftime(clock))
    assert c_time(moment.strftime("%a %b %d %H:%M:%S %Y\u2028")) == moment


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_read_or_not(one: str, other: str) -> None:
    assert isinstance(moments_of(one, other), list)
    c_time(one)


# -- times of images -----------------------------------------------------------------------------------------------


def filetime(moment: dt.datetime) -> float:
    """Ticks of 100 ns since 1601, as the double that the file has."""
    return (moment - dt.datetime(1601, 1, 1, tzinfo=dt.UTC)).total_seconds() * 1e7


def times(tags: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = acquired(tags)
    return [
        (one.field, one.value, one.offset_status)
        for one in found
        if one.field != "time.utc_offset" and one.status != AMBIGUOUS
    ]


def bar(date: str, clock: str, **others: Any) -> dict[str, Any]:
    return {"DataBar": {"Acquisition Date": date, "Acquisition Time": clock, **others}}


INSTANT = dt.datetime(2019, 7, 1, 18, 55, 56, tzinfo=dt.UTC)
START = "time.acquired_start"


@pytest.mark.parametrize("tag", ["Acquisition Time (OS)", "System Info"])
def test_an_instant_decides_the_order_of_day_and_month(tag: str) -> None:
    tags = bar("7/1/2019", "2:55:56 PM", **{tag: filetime(INSTANT)})
    assert times(tags) == [(START, "2019-07-01T14:55:56-04:00", "derived")]


def test_an_instant_decides_the_half_of_the_day() -> None:
    """As far as it can: 8 in the morning in Hawaii is 8 in the evening in Prague."""
    tags = bar("1.7.2019", "2:55:56 odp.", **{"Acquisition Time (OS)": filetime(INSTANT)})
    assert times(tags) == [(START, "2019-07-01T14:55:56-04:00", "derived")]
    tags = bar("1.7.2019", "8:55:56 odp.", **{"Acquisition Time (OS)": filetime(INSTANT)})
    assert times(tags) == [(START, "2019-07-01T18:55:56Z", "known")]


def test_the_start_of_the_camera_decides_too() -> None:
    tags = bar("7/1/2019", "2:55:56 PM")
    tags["Acquisition"] = {"Frame": {"Sequence": {"Acquisition Start Time (epoch)": 1562007349437.0}}}
    assert times(tags) == [(START, "2019-07-01T14:55:56-04:00", "derived")]


def test_without_an_instant_the_day_that_the_scan_generator_notes_decides() -> None:
    tags = bar("7/1/2019", "2:55:56 PM") | {"DigiScan": {"TimeStamp": "Mon Jul 01 14:55:50 2019\u2028"}}
    assert times(tags) == [(START, "2019-07-01T14:55:56", "unknown")]


def test_nothing_is_said_where_nothing_decides() -> None:
    assert times(bar("7/1/2019", "2:55:56 PM")) == []
    assert times(bar("7/1/2019", "2:55:56 PM", **{"Acquisition Time (OS)": 0.0})) == []
    assert times({}) == []


def test_a_date_that_can_only_be_one_needs_no_instant() -> None:
    assert times(bar("27.08.2016", "20:54:33")) == [(START, "2016-08-27T20:54:33", "unknown")]


def test_an_instant_alone_is_utc() -> None:
    tags = {"DataBar": {"Acquisition Time (OS)": filetime(INSTANT)}}
    assert times(tags) == [(START, "2019-07-01T18:55:56Z", "known")]
    tags = bar("7/1/2019", "noon", **{"Acquisition Time (OS)": filetime(INSTANT)})
    assert times(tags) == [(START, "2019-07-01T18:55:56Z", "known")]


def test_a_text_that_contradicts_the_instant_stands_beside_it() -> None:
    tags = bar("27.08.2016", "20:54:33", **{"Acquisition Time (OS)": filetime(INSTANT)})
    assert times(tags) == [(START, "2016-08-27T20:54:33", "unknown"), (START, "2019-07-01T18:55:56Z", "known")]


def test_a_spectrum_image_over_midnight() -> None:
    tags = {"SI": {"Acquisition": {"Date": "14/05/2019", "Start time": "23:50:13", "End time": "00:10:58"}}}
    assert times(tags) == [
        (START, "2019-05-14T23:50:13", "unknown"),
        ("time.acquired_end", "2019-05-15T00:10:58", "unknown"),
    ]


def test_the_data_bar_decides_the_day_of_a_spectrum() -> None:
    spectrum = {"EELS": {"Acquisition": {"Date": "7/1/2019", "Start time": "2:55:00 PM", "End time": "2:55:50 PM"}}}
    tags = bar("7/1/2019", "2:55:56 PM", **{"Acquisition Time (OS)": filetime(INSTANT)}) | spectrum
    assert times(tags) == [
        (START, "2019-07-01T14:55:00-04:00", "derived"),
        ("time.acquired_end", "2019-07-01T14:55:50-04:00", "derived"),
        (START, "2019-07-01T14:55:56-04:00", "derived"),
    ]
    assert times(spectrum) == []


def test_the_data_bar_of_another_day_does_not_tell_the_offset_of_a_spectrum() -> None:
    spectrum = {"EELS": {"Acquisition": {"Date": "27/6/2019", "Start time": "2:55:00 PM", "End time": "2:55:50 PM"}}}
    tags = bar("7/1/2019", "2:55:56 PM", **{"Acquisition Time (OS)": filetime(INSTANT)}) | spectrum
    assert times(tags)[:2] == [
        (START, "2019-06-27T14:55:00", "unknown"),
        ("time.acquired_end", "2019-06-27T14:55:50", "unknown"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17/01/2022 16:01:14 ", ["2022-01-17T16:01:14"]),
        ("5/14/2021 11:41:07 PM", ["2021-05-14T23:41:07"]),
        ("1/2/2022 16:01:14", []),
        ("soon", []),
        ("", []),
    ],
)
def test_the_start_of_a_serial_spectrum_is_one_text(text: str, expected: list[str]) -> None:
    assert [value for _, value, _ in times({"CL": {"Acquisition": {"Acquisition begin": text}}})] == expected
