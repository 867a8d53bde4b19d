"""Statements: who may say what, in one form, with everything that a log adds."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.model.statements import (
    ADDED,
    KINDS,
    MAX_STATEMENT_BYTES,
    MAX_SUBJECTS,
    PREDICATE,
    STATEMENT_TYPE,
    Draft,
    Statement,
    Subject,
    parse_time,
)

PROPERTY = settings(max_examples=50, derandomize=True, deadline=None)

NOW = datetime(2026, 3, 14, 9, 26, 53, 123456, tzinfo=UTC)
NODE, SALT, PACKAGE = "ab" * 32, "cd" * 16, "ef" * 32
TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SUBJECTS = st.lists(
    HEX.map(Subject.package)
    | HEX.map(Subject.statement)
    | HEX.map(Subject.key)
    | TEXT.map(lambda t: Subject.named("s:" + t)),
    min_size=1,
    max_size=4,
    unique_by=lambda subject: subject.sha256,
).map(tuple)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """Any statement that a log could hold."""
    subjects = draw(SUBJECTS)
    own = draw(st.dictionaries(TEXT.filter(lambda key: key not in ADDED), JSON, max_size=4))
    draft = Draft(draw(st.sampled_from(sorted(KINDS))), subjects, own)
    moment = draw(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
    prev = {subject.sha256: draw(st.none() | HEX) for subject in subjects}
    return draft.entered(node=draw(HEX), time=moment, salt=draw(HEX)[:32], prev=prev)


def entered(**own: Any) -> Statement:
    return Draft("ingest", (Subject.package(PACKAGE),), own).entered(
        node=NODE, time=NOW, salt=SALT, prev={PACKAGE: None}
    )


@PROPERTY
@given(statements())
def test_a_statement_is_read_as_it_was_written(statement: Statement) -> None:
    payload = statement.to_payload()
    again = Statement.from_payload(payload)
    assert again == statement
    assert again.to_payload() == payload
    assert again.time == statement.time
    assert again.time.tzinfo is UTC


def test_the_payload_is_an_in_toto_statement() -> None:
    document = json.loads(entered(bytes=1).to_payload())
    assert document == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": f"diadem:{PACKAGE}", "digest": {"sha256": PACKAGE}}],
        "predicateType": "https://diadem-em.org/statement/ingest/v1",
        "predicate": {
            "bytes": 1,
            "node": NODE,
            "time": "2026-03-14T09:26:53Z",
            "salt": SALT,
            "prev": {PACKAGE: None},
        },
    }
    assert document["_type"] == STATEMENT_TYPE
    assert document["predicateType"] == PREDICATE.format(kind="ingest")


def test_what_the_log_added_is_at_hand() -> None:
    statement = entered()
    assert (statement.node, statement.salt) == (NODE, SALT)
    assert statement.time == NOW.replace(microsecond=0)
    assert statement.prev == {PACKAGE: None}
    assert statement.known is KINDS["ingest"]


def test_the_time_is_in_utc_whatever_the_clock_says() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    statement = Draft("head", (Subject.key(NODE),), {}).entered(node=NODE, time=local, salt=SALT, prev={NODE: NODE})
    assert statement.predicate["time"] == "2026-03-14T09:26:53Z"


def test_unknown_kinds_and_members_are_kept_and_not_understood() -> None:
    document = entered(mood={"of": ["a", 1.5]}).to_dict()
    document["predicateType"] = PREDICATE.format(kind="telepathy")
    statement = Statement.from_dict(document)
    assert statement.known is None
    assert statement.predicate["mood"] == {"of": ["a", 1.5]}
    assert statement.to_dict() == document


def test_a_statement_cannot_be_changed() -> None:
    source: dict[str, Any] = {"bytes": 1}
    statement = Draft("ingest", (Subject.package(PACKAGE),), source).entered(
        node=NODE, time=NOW, salt=SALT, prev={PACKAGE: None}
    )
    source["bytes"] = 2
    assert statement.predicate["bytes"] == 1
    with pytest.raises(TypeError):
        statement.predicate["bytes"] = 2  # type: ignore[index]


# -- kinds and subjects ------------------------------------------------------------------------------------------------


def test_who_may_sign_what() -> None:
    signers = {name: "+".join(sorted(kind.signers)) for name, kind in KINDS.items()}
    node = "ingest fixity replicate repair drop tombstone receipt closure permit relay audit handover peer head"
    user = "grant revocation offer decline rule sample assessment amendment derivation countersign"
    node += " corrections"
    assert {name for name, who in signers.items() if who == "node"} == set(node.split())
    assert {name for name, who in signers.items() if who == "user"} == set(user.split())
    assert {name: signers[name] for name in ("acceptance", "key", "recovery")} == {
        "acceptance": "node+user",
        "key": "node+root",
        "recovery": "root",
    }
    assert set(signers) == {*node.split(), *user.split(), "acceptance", "key", "recovery"}
    assert all(kind.name == name and kind.meaning.endswith(".") for name, kind in KINDS.items())


def test_subjects_are_named_by_their_digest() -> None:
    assert Subject.package(f"diadem:{PACKAGE}") == Subject.package(PACKAGE) == Subject(f"diadem:{PACKAGE}", PACKAGE)
    assert Subject.statement(NODE).name == f"statement:{NODE}"
    assert Subject.key(NODE).name == f"key:{NODE}"
    store = "store:3f1c2a70-5b1e-4a60-9a52-0f6d1c8c2b11"
    assert Subject.named(store) == Subject(store, hashlib.sha256(store.encode()).hexdigest())


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        (f"diadem:{PACKAGE}", NODE),
        (f"statement:{PACKAGE}", NODE),
        ("key:", NODE),
        ("", NODE),
        ("x" * 513, NODE),
        ("x", NODE.upper()),
        ("x", NODE[:-1]),
        ("x", NODE + "\n"),
        ("diadem:x", "x"),
    ],
)
def test_a_subject_that_contradicts_itself_is_refused(name: str, sha256: str) -> None:
    with pytest.raises(DocumentError):
        Subject(name, sha256)


@pytest.mark.parametrize("name", ["node", "time", "salt", "prev"])
def test_a_draft_does_not_say_what_the_log_adds(name: str) -> None:
    with pytest.raises(DocumentError, match="the log's to add"):
        Draft("ingest", (Subject.package(PACKAGE),), {name: "x"})


def test_a_draft_of_an_unknown_kind_or_without_a_subject_is_refused() -> None:
    with pytest.raises(DocumentError, match="not a kind of statement"):
        Draft("telepathy", (Subject.package(PACKAGE),), {})
    with pytest.raises(DocumentError, match="subjects"):
        Draft("ingest", (), {})
    with pytest.raises(DocumentError, match="twice"):
        Draft("ingest", (Subject.package(PACKAGE), Subject.key(PACKAGE)), {})


# -- what is not read --------------------------------------------------------------------------------------------------


def _changed(**predicate: Any) -> dict[str, Any]:
    document = entered().to_dict()
    document["predicate"] = {**document["predicate"], **predicate}
    return document


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("node", NODE[:-1]),
        ("node", 1),
        ("salt", ""),
        ("salt", SALT.upper()),
        ("time", "2026-03-14 09:26:53Z"),
        ("time", "2026-03-14T09:26:53"),
        ("time", "2026-03-14T09:26:53+00:00"),
        ("time", "2026-03-14T09:26:53.5Z"),
        ("time", "2026-03-14T24:00:00Z"),
        ("time", "2026-02-30T00:00:00Z"),
        ("time", "0000-01-01T00:00:00Z"),
        ("time", "٢٠٢٦-03-14T09:26:53Z"),
        ("time", 1_773_480_413),
        ("time", None),
        ("prev", None),
        ("prev", {}),
        ("prev", {NODE: None}),
        ("prev", {PACKAGE: None, NODE: None}),
        ("prev", {PACKAGE: "x"}),
        ("prev", {PACKAGE: 1}),
        ("prev", [PACKAGE]),
    ],
)
def test_odd_values_of_what_the_log_adds_are_refused(member: str, value: Any) -> None:
    Statement.from_dict(_changed())
    with pytest.raises(DocumentError):
        Statement.from_dict(_changed(**{member: value}))


@pytest.mark.parametrize("member", sorted(ADDED))
def test_nothing_that_the_log_adds_may_be_missing(member: str) -> None:
    document = _changed()
    del document["predicate"][member]
    with pytest.raises(DocumentError, match=f"lacks {member}"):
        Statement.from_dict(document)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("_type", "https://in-toto.io/Statement/v0.1"),
        ("_type", None),
        ("predicateType", "https://slsa.dev/provenance/v1"),
        ("predicateType", "https://diadem-em.org/statement/ingest/v2"),
        ("predicateType", "https://diadem-em.org/statement/Ingest/v1"),
        ("predicateType", "https://diadem-em.org/statement//v1"),
        ("predicateType", "https://diadem-em.org/statement/ingest/v1\n"),
        ("predicateType", 1),
        ("subject", []),
        ("subject", {}),
        ("subject", "x"),
        ("subject", [1]),
        ("subject", [{"name": "x"}]),
        ("subject", [{"name": "x", "digest": {}}]),
        ("subject", [{"name": "x", "digest": {"sha256": 1}}]),
        ("subject", [{"name": 1, "digest": {"sha256": PACKAGE}}]),
        ("subject", [{"name": "x", "digest": {"sha256": PACKAGE, "md5": "0"}}]),
        ("subject", [{"name": "x", "digest": {"sha256": PACKAGE}, "uri": "x"}]),
        ("subject", [{"name": "x", "digest": {"sha256": PACKAGE}}] * (MAX_SUBJECTS + 1)),
        ("predicate", []),
        ("predicate", None),
    ],
)
def test_other_in_toto_statements_are_refused(member: str, value: Any) -> None:
    with pytest.raises(DocumentError):
        Statement.from_dict({**entered().to_dict(), member: value})


@PROPERTY
@given(JSON)
def test_any_other_value_is_refused(value: Any) -> None:
    with pytest.raises(DocumentError):
        Statement.from_dict(value)


@PROPERTY
@given(st.binary(max_size=100))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        Statement.from_payload(data)


@PROPERTY
@given(st.data())
def test_a_changed_payload_is_refused_or_another_statement(data: st.DataObject) -> None:
    payload = bytearray(entered(bytes=1, name="x").to_payload())
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        statement = Statement.from_payload(bytes(payload))
    except DocumentError:
        return
    assert statement.to_payload() == bytes(payload)


def test_large_statements_are_neither_written_nor_read() -> None:
    with pytest.raises(DocumentError, match="more than"):
        entered(note="x" * MAX_STATEMENT_BYTES).to_payload()
    with pytest.raises(DocumentError, match="more than"):
        Statement.from_payload(b" " * (MAX_STATEMENT_BYTES + 1))


def test_a_statement_on_as_many_packages_as_are_allowed_is_small_enough() -> None:
    subjects = tuple(Subject.package(f"{number:064x}") for number in range(MAX_SUBJECTS))
    prev = {subject.sha256: NODE for subject in subjects}
    own = {"store": "nas", "level": "full", "proven": [subject.name for subject in subjects]}
    statement = Draft("fixity", subjects, own).entered(node=NODE, time=NOW, salt=SALT, prev=prev)
    payload = statement.to_payload()
    assert len(payload) < MAX_STATEMENT_BYTES
    assert Statement.from_payload(payload) == statement


def test_a_statement_that_holds_no_json_is_not_written() -> None:
    with pytest.raises(DocumentError, match="cannot be written"):
        entered(voltage=float("nan")).to_payload()
    with pytest.raises(DocumentError, match="cannot be written"):
        entered(path="scan\udcff.dm4").to_payload()


def test_times_are_read_as_they_are_written() -> None:
    assert parse_time("2026-03-14T09:26:53Z") == NOW.replace(microsecond=0)
    with pytest.raises(DocumentError, match="Example"):
        parse_time("14.03.2026")
