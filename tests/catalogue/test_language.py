"""The language of searches: what it means, and errors that point at the word."""

from __future__ import annotations

import contextlib
import datetime
import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from diadem.catalogue import vocabulary
from diadem.catalogue.conditions import (
    AllOf,
    AnyOf,
    Begins,
    Between,
    Condition,
    Count,
    Deny,
    Ingested,
    InStore,
    Judged,
    Phrase,
)
from diadem.catalogue.package_key import Stretch, days_between
from diadem.catalogue.query import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, Names, parse
from diadem.errors import UsageError
from diadem.terms.fields import field_keys


def meaning(query: str) -> Condition:
    return parse(query).condition


def number(query: str) -> tuple[float, float]:
    condition = meaning(query)
    assert isinstance(condition, Between | Count)
    return condition.low, condition.high


def word(text: str, *keys: str) -> Phrase:
    return Phrase(keys, tuple(text.split()))


def test_nothing_is_everything() -> None:
    assert meaning("") == meaning("  \t\n") == AllOf(())


def test_a_star_at_the_beginning_stands_for_every_text_that_has_the_part() -> None:
    asked: list[tuple[tuple[str, ...], str, bool]] = []

    class Listed(Names):
        def texts(self, keys: tuple[str, ...], part: str, *, ends: bool) -> list[tuple[str, ...]]:
            asked.append((keys, part, ends))
            return [("fei", "titan"), ("titan3",)] if "titan" in part else []

    def understood(query: str) -> Condition:
        return parse(query, Listed()).condition

    keys = ("instrument.model",)
    first, second = (Phrase(keys, words, whole=True) for words in (("fei", "titan"), ("titan3",)))
    assert understood("instrument.model:*Titan*") == replace(first, others=(second,))
    assert (
        understood('instrument.model:"*Titan"')
        == understood("instrument.model=*Titan")
        == replace(first, others=(second,))
    )
    assert understood("not instrument.model:*xyz*") == Deny(Stretch(0, 0))
    assert asked == [(keys, "titan", False), (keys, "titan ", False), (keys, "titan ", True), (keys, "xyz", False)]


def test_alternatives_beside_each_other_are_asked_of_one_judgement() -> None:
    query = "(quality:accept or quality:limited) (purpose:EELS or purpose:EDS) kV=200"
    found = meaning(query)
    assert isinstance(found, AllOf)
    voltage, either = found.parts
    assert isinstance(voltage, Between)
    assert isinstance(either, AnyOf)
    assert set(either.parts) == {
        Judged(verdict, purpose) for verdict in ("accept", "limited") for purpose in ("eels", "eds")
    }
    mixed = meaning("(quality:accept or HAADF) purpose:EELS")
    assert mixed == AnyOf((Judged("accept", "eels"), AllOf((word("haadf"), Judged(purpose="eels")))))
    many = " ".join("(" + " or ".join(f"purpose:p{n}{m}" for m in range(5)) + ")" for n in range(3))
    with pytest.raises(UsageError, match="more than 64 combinations"):
        meaning(many)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a b", AllOf((word("a"), word("b")))),
        ("a and b", AllOf((word("a"), word("b")))),
        ("a AND NOT b", AllOf((word("a"), Deny(word("b"))))),
        ("a or b c", AnyOf((word("a"), AllOf((word("b"), word("c")))))),
        ("(a or b) c", AllOf((AnyOf((word("a"), word("b"))), word("c")))),
        ("not (a or b)", AllOf((Deny(word("a")), Deny(word("b"))))),
        ("not (a not b)", AnyOf((Deny(word("a")), word("b")))),
        ("not not a", word("a")),
        ('"and" b', AllOf((word("and"), word("b")))),
        ('"silver nanowires"', word("silver nanowires")),
        ("“silver nanowires”", word("silver nanowires")),
        ("ZnO_12", word("zno 12")),
        ("nano*", Phrase((), ("nano",), open=True)),
        ("*.dm4", word("dm4")),
        ("*.dm*", Phrase((), ("dm",), open=True)),
        ("file:scan_001.dm4", word("scan 001 dm4", "file")),
        ("file:10:30", word("10 30", "file")),
        ("sample:S-12", word("s 12", *vocabulary.SAMPLE_KEYS)),
        ('sample = "S 12"', Phrase(vocabulary.SAMPLE_KEYS, ("s", "12"), whole=True)),
        ("detector.name!=HAADF", Deny(Phrase(("detector.name",), ("haadf",), whole=True))),
        ("not detector.name!=HAADF", Phrase(("detector.name",), ("haadf",), whole=True)),
        ("1f0c9a77", AnyOf((word("1f0c9a77"), Begins("1f0c9a77")))),
        ("diadem:1F0C", Begins("1f0c")),
        ("id=diadem:1f0c", Begins("1f0c")),
        ("store:nas", InStore("nas")),
    ],
)
def test_logic_and_words(query: str, expected: Condition) -> None:
    assert meaning(query) == expected


@pytest.mark.parametrize(
    "same",
    [
        ("kV=200", "kV:200", "voltage=200kV", "HV==200e3V", "energy=200keV", "beam.acceleration_voltage=200000",
         "acceleration_voltage=0.2MV", "kV = 200 kV", "KV=200", "Beam.Acceleration-Voltage=200 kV", "kv=200keV"),
        ("dwell=10us", "dwell=10µs", "dwell=10 μs", "scan.dwell_time=1e-5", "dwell_time=0.01ms", "dwell:10us"),
        ("pixel<5nm", "pixel < 5 nm", "pixel<5e-9", "pixel_size<0.005um", "pixel<50Å"),
        ("mag>=50k", "mag≥50000", "optics.magnification>=50kx", "mag >= 50 kx"),
        ("mag:10k..50k", "mag=10000..50000", "mag:10..50k", "mag:10..50 kx"),
        ("pixel:1..5nm", "pixel:1nm..5nm"),
        ("temperature>=-180°C", "stage.temperature>=93.15K"),
        ("convergence=20mrad", "convergence=0.02", "beam.convergence_semi_angle=1.1459155902616465deg"),
        ("stage.rotation=180", "stage.rotation=180deg", "stage.rotation=3.141592653589793rad"),
        ("size>=10GB", "bytes>=10000000000", "size >= 10 GB", "size>=10000 MB"),
        ("cl=1.2m", "camera_length=120cm"),
        ("reciprocal_pixel=0.5 1/nm", "reciprocal_pixel=5e8", 'reciprocal_pixel="0.5 nm^-1"'),
    ],
)  # fmt: skip
def test_units(same: tuple[str, ...]) -> None:
    first = meaning(same[0])
    assert isinstance(first, Between | Count)
    for other in same[1:]:
        condition = meaning(other)
        assert isinstance(condition, Between | Count)
        assert (condition.low, condition.high) == pytest.approx((first.low, first.high), rel=1e-9)


@pytest.mark.parametrize(
    ("query", "inside", "outside"),
    [
        ("kV=200", [200e3, 200e3 * (1 + 5e-7), 199_999.9], [200_010.0, 199_990.0]),
        ("kV>=200", [200e3, 199_999.9, math.inf], [199_000.0]),
        ("kV>200", [200_010.0], [200e3, 200_000.1]),
        ("kV<200", [199_990.0], [200e3, 199_999.9]),
        ("kV<=200", [200e3, 200_000.1, 0.0], [200_010.0]),
        ("stage.alpha=-30", [-30.0, -30.00001], [-30.1, 30.0]),
        ("stage.alpha<-30", [-31.0], [-30.0, -30.00001, -29.0]),
        ("stage.alpha:-30..30", [-30.0, 0.0, 30.0], [-31.0, 31.0]),
        ("stage.alpha=0", [0.0], [1e-9]),
        ("mag:..50k", [1.0, 50e3], [60e3]),
        ("mag:50k..", [50e3, 1e9], [40e3]),
        ("files>10", [11], [10]),
        ("files:2..3", [2, 3], [1, 4]),
        ("files=1000000", [1_000_000], [999_999, 1_000_001]),
        ("copies<2", [0, 1], [2]),
    ],
)
def test_comparisons(query: str, inside: list[float], outside: list[float]) -> None:
    low, high = number(query)
    assert all(low <= value <= high for value in inside)
    assert not any(low <= value <= high for value in outside)


def test_a_float_of_32_bits_is_found_by_its_round_number() -> None:
    import numpy as np

    for value in (0.1, 5e-9, 2.155e-10, 300e3):
        low, high = number(f"stage.x={value!r}")
        assert low <= float(np.float32(value)) <= high


@pytest.mark.parametrize(
    ("query", "first", "end"),
    [
        ("date:2026", "2026-01-01", "2027-01-01"),
        ("date:2026-03", "2026-03-01", "2026-04-01"),
        ("date=2026-12", "2026-12-01", "2027-01-01"),
        ("date:2026-03-14", "2026-03-14", "2026-03-15"),
        ("date>=2026-03-14", "2026-03-14", None),
        ("date>2026-03", "2026-04-01", None),
        ("date<2026-03-14", None, "2026-03-14"),
        ("date<=2026", None, "2027-01-01"),
        ("date:2025..2026-02", "2025-01-01", "2026-03-01"),
        ("date:9999", "9999-01-01", None),
    ],
)
def test_dates(query: str, first: str | None, end: str | None) -> None:
    low, high = (datetime.date.fromisoformat(text) if text else None for text in (first, end))
    assert meaning(query) == days_between(low, high)


def test_moments() -> None:
    assert meaning("ingested>=2026-03") == Ingested("2026-03-01T00:00:00Z", None)
    low, high = number("acquired:2026-03-14T09:30")
    assert high - low == pytest.approx(60)
    assert number("time.acquired_start>=2026-03-14")[0] == low - 9.5 * 3600


@pytest.mark.parametrize(
    ("query", "pointed", "said", "advice"),
    [
        ("zno voltag>100", "voltag", "there is no field 'voltag'", "Did you mean voltage?"),
        ("dettector:HAADF", "dettector", "no field", "detector"),
        ("name:foo", "name", "several fields", "sample.name"),
        ("C:\\data", "C", "no field", None),
        ("pixel<5kV", "5kV", "'kV' is a unit of another kind; this field is in m", None),
        ("pixel < 5 kV", "5 kV", "this field is in m", None),
        ("pixel<5parsec", "5parsec", "no known unit; this field is in m", None),
        ("mag>5nm", "5nm", "a number without a unit", None),
        ("pixel<0,5nm", "0,5nm", "not a number", "decimal point"),
        ("pixel<nm", "nm", "not a number", None),
        ("pixel<1e999", "1e999", "fits", None),
        ("detector<HAADF", "HAADF", "has no order", "detector:HAADF"),
        ("kV:300..100", "300..100", "ends before it begins", None),
        ("kV:..", "..", "a beginning or an end", None),
        ("date:14.03.2026", "14.03.2026", "not a date", "year first"),
        ("date:2026-02-30", "2026-02-30", "no day", None),
        ("date:2026-02-03T10:00", "2026-02-03T10:00", "no time of day", "acquired"),
        ("date:2026-03..2026-01", "2026-03..2026-01", "ends before it begins", None),
        ("quality:good", "good", "not a quality", "quality:accept"),
        ("quality>accept", "accept", "has no order", None),
        ("not:judged", "judged", "not understood", "not:assessed"),
        ("derived-from:scan", "scan", "not the beginning of an id", None),
        ("id:xyz", "xyz", "not the beginning of an id", None),
        ("a*b", "a*b", "only at the beginning or the end", None),
        ("*rod", "*rod", "needs a field", "instrument:*rod"),
        ("stage.holder:*rod", "*rod", "no list of all texts", "stage.holder:rod"),
        ("kV=200 +", "+", "no letter or digit", None),
        ("kV=200 and", None, "ends where a word is missing", None),
        ("a or or b", "or", "missing before 'or'", "quote"),
        ("and a", "and", "missing before 'and'", "quote"),
        ("=5", "=", "no name before '='", "kV>=200"),
        ("kV=", None, "no value after '='", None),
        ("kV= )", ")", "no value after '='", None),
        ("(a", "(", "never closed", None),
        ("voltag=3 (a", "(", "never closed", None),
        ("a)", ")", "no opening parenthesis", None),
        ("()", ")", "missing before ')'", None),
        ('"abc', '"', "never closed", None),
        ("ΖnO 日本 voltag=3", "voltag", "no field", None),
    ],
)  # fmt: skip
def test_errors_point_at_the_word(query: str, pointed: str | None, said: str, advice: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        meaning(query)
    error = caught.value
    what, shown, carets = error.message.split("\n")
    assert said in what
    if advice:
        assert advice in str(error.next)
    assert shown == "  " + query
    assert set(carets.strip()) == {"^"}
    if pointed is None:
        assert carets == "  " + " " * len(query) + "^"
    elif query.isascii():
        start = query.rindex(pointed) if pointed in ("or", ")") else query.index(pointed)
        assert carets == "  " + " " * start + "^" * len(pointed)
    else:
        assert carets == "  " + " " * len("ΖnO 日本__ ") + "^" * len(pointed)


def test_a_long_query_is_shown_around_the_word() -> None:
    with pytest.raises(UsageError) as caught:
        meaning("word " * 45 + "voltag=3 " + "word " * 45)
    _, shown, carets = caught.value.message.split("\n")
    assert len(shown) < 80
    assert shown[carets.index("^") : carets.rindex("^") + 1] == "voltag"


def test_limits() -> None:
    with pytest.raises(UsageError, match="too long"):
        parse("a" * (MAX_LENGTH + 1))
    with pytest.raises(UsageError, match="terms"):
        parse("a " * (MAX_TERMS + 1))
    with pytest.raises(UsageError, match="are nested"):
        parse("(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1))
    parse("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH)
    parse("not " * 2000 + "a")


_PIECES = [
    "kV", "=", ">=", "200", "nm", "(", ")", "and", "or", "not", '"', " ", ":", "..", "date", "2026-03", "*", "µm", "<",
    "pixel", "S-12", "!=", "!", "sample", "id", "\x00", "\ud800", "日", "-", "1e400", "size", "acquired", "store",
]  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.sampled_from(_PIECES), max_size=20).map("".join)))
@example("pixel=1e308Tm")
@example("date:0000")
@example("date>9999")
@example("size>1e300TB")
@example("acquired<0001")
def test_garbage_is_refused_and_nothing_else(query: str) -> None:
    with contextlib.suppress(UsageError):
        meaning(query)


_LEAVES = ["zno", "kV=200", "mag:1k..2k", "date:2026", 'sample:"S 12"', "nano*", "not x"]


_joined = st.recursive(
    st.sampled_from(_LEAVES),
    lambda inner: st.builds("({}{}{})".format, inner, st.sampled_from([" ", " and ", " or "]), inner),
    max_leaves=12,
)


@given(_joined)
def test_denied_twice_is_the_same(query: str) -> None:
    assert meaning(f"not (not ({query}))") == meaning(query)


def test_every_field_can_be_asked_for() -> None:
    for key in field_keys():
        found = vocabulary.find(key)
        assert found is not None
        assert found.of == (key,)
        assert found.kind in ("text", "number", "time")
    for name in vocabulary.names():
        assert vocabulary.find(name) is not None
