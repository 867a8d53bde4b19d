"""Extensions judged by schemas that lie here; nothing is fetched, whatever a schema refers to."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.serialization.extensions import ExtensionSchemas, judged

MIRROR: dict[str, Any] = {
    "$id": "https://example.org/schemas/cl/1.0.0",
    "type": "object",
    "required": ["mirror"],
    "properties": {
        "mirror": {"enum": ["parabolic", "flat"]},
        "slit": {"$ref": "https://example.org/schemas/length"},
        "day": {"type": "string", "format": "date"},
    },
}
LENGTH = {"$id": "https://example.org/schemas/length", "type": "number", "exclusiveMinimum": 0}
CL = "org.example.cl"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> ExtensionSchemas:
    """Two namespaces, whose schemas refer to each other; a connection would fail the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return ExtensionSchemas({CL: {"1.0.0": MIRROR}, "org.example.length": {"1": LENGTH}})


def test_valid_data_are_marked_so(known: ExtensionSchemas) -> None:
    verdict = known.judge(CL, "1.0.0", {"mirror": "flat", "slit": 1e-4, "day": "2026-03-14"})
    assert (verdict.validated, verdict.schema, verdict.faults) == (True, MIRROR["$id"], ())


@pytest.mark.parametrize(
    ("data", "path", "rule"),
    [
        ({"mirror": "round"}, "$.mirror", "properties/mirror/enum"),
        ({"mirror": "flat", "slit": 0}, "$.slit", "exclusiveMinimum"),
        ({"mirror": "flat", "day": "14.03.2026"}, "$.day", "properties/day/format"),
        ({}, "$", "required"),
        ([], "$", "type"),
    ],
)
def test_a_fault_names_path_and_rule(known: ExtensionSchemas, data: Any, path: str, rule: str) -> None:
    verdict = known.judge(CL, "1.0.0", data)
    assert not verdict.validated
    (fault,) = verdict.faults
    assert fault.startswith(f"{path}: ")
    assert fault.endswith(f"(rule: {rule})")


def test_a_fault_says_what_the_author_says_of_the_key_and_what_may_have_been_meant() -> None:
    mirror = {"enum": ["parabolic", "flat"], "description": "Shape of the mirror."}
    schema = {"additionalProperties": False, "properties": {"mirror": mirror}}
    known = ExtensionSchemas({CL: {"1": schema}})
    (misspelt,) = known.judge(CL, "1", {"miror": "flat"}).faults
    assert "the key 'miror' is not known. Did you mean mirror?" in misspelt
    (wrong,) = known.judge(CL, "1", {"mirror": "round"}).faults
    assert "The rule: Shape of the mirror." in wrong


def test_only_the_keys_that_no_pattern_admits_are_named() -> None:
    known = ExtensionSchemas({CL: {"1": {"additionalProperties": False, "patternProperties": {"^x_": {}}}}})
    (fault,) = known.judge(CL, "1", {"x_a": 1, "y": 2, "x_b": 3}).faults
    assert "the key 'y' is not known" in fault


@pytest.mark.parametrize(("namespace", "version"), [("org.example.unknown", "1.0.0"), (CL, "2.0.0")])
def test_what_nobody_knows_is_not_judged(known: ExtensionSchemas, namespace: str, version: str) -> None:
    verdict = known.judge(namespace, version, {"mirror": "round"})
    assert (verdict.validated, verdict.schema, verdict.faults, verdict.broken) == (False, "", (), "")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/elsewhere.json"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$schema": "https://example.com/meta", "type": "object"},
        {"type": "nonsense"},
        {"pattern": "("},
    ],
)
def test_a_schema_that_cannot_be_used_is_named_and_judges_nothing(known: ExtensionSchemas, schema: Any) -> None:
    broken = ExtensionSchemas({CL: {"1": schema, "2": MIRROR | {"$id": "https://example.org/x"}}})
    verdict = broken.judge(CL, "1", {})
    assert not verdict.validated
    assert not verdict.faults
    assert verdict.broken
    assert {(CL, "1")} <= {(namespace, version) for namespace, version, _ in broken.broken()}


def test_schemas_of_diadem_may_be_referred_to() -> None:
    sample = {"$ref": "https://diadem-em.org/schemas/record/1.0.0/metadata#/$defs/sample"}
    known = ExtensionSchemas({CL: {"1": sample}})
    assert known.judge(CL, "1", {"name": "ZnO"}).validated
    assert "$.name" in known.judge(CL, "1", {"name": ""}).faults[0]


def test_what_a_person_writes_is_marked_whatever_they_claim(known: ExtensionSchemas) -> None:
    said = {
        CL: {"version": "1.0.0", "data": {"mirror": "flat"}, "validated": False},
        "org.example.unknown": {"version": "7", "data": [1], "validated": True},
    }
    marked = judged(said, known)
    assert marked[CL] == {**said[CL], "validated": True, "schema": MIRROR["$id"]}
    assert marked["org.example.unknown"] == {**said["org.example.unknown"], "validated": False}
    with pytest.raises(DocumentError, match=r"(?s)\['org.example.cl'\].data.*\$\.mirror.*enum"):
        judged({CL: {"version": "1.0.0", "data": {"mirror": "round"}}}, known)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(PLAIN)
def test_valid_or_faulty_and_never_both(data: Any) -> None:
    verdict = ExtensionSchemas({CL: {"1": {"type": "object", "minProperties": 1}}}).judge(CL, "1", data)
    assert verdict.validated == (isinstance(data, dict) and len(data) > 0)
    assert verdict.validated is not bool(verdict.faults)
    assert not verdict.broken
