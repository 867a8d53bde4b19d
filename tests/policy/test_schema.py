"""The schema of policies: sound, and each example behaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import tomlkit

from diadem.errors import DocumentError
from diadem.model.measures import read_duration, read_size
from diadem.model.policy import Policy
from diadem.policy import generate
from diadem.policy.generate import schema_document
from diadem.policy.policy_text import default_policy, read_policy
from diadem.serialization import schemas
from diadem.serialization.strict_json import parse
from tests.serialization.examples import INVALID, VALID, invalid, valid

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"


def as_toml(document: Mapping[str, Any]) -> str:
    """The document as a policy file."""
    return tomlkit.dumps(document)


def test_the_schema_is_a_schema_and_says_who_it_is() -> None:
    schema = schemas.schema(schemas.POLICY)
    assert schema["$id"] == "https://diadem-em.org/schemas/policy/1.0.0"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(schema)
    file = SCHEMAS / "policy" / "1.0.0" / "policy.schema.json"
    assert parse(file.read_bytes(), where=str(file)) == schema


def test_the_schema_and_the_page_are_made_of_the_keys() -> None:
    """After a change of `diadem.model.policy`: ``python -m diadem.policy.generate``."""
    assert schemas.schema(schemas.POLICY) == schema_document()
    text = generate.PAGE.read_text("utf-8")
    assert generate.page(text) == text


@pytest.mark.parametrize("name", VALID["policy"])
def test_a_valid_example_passes(name: str) -> None:
    read_policy(as_toml(valid("policy", name)))


@pytest.mark.parametrize("name", INVALID["policy"])
def test_an_invalid_example_is_refused_for_its_own_fault(name: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_policy(as_toml(invalid("policy", name)))
    assert INVALID["policy"][name]["says"] in caught.value.line


def settings(
    node: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every key of the schema that is not a section."""
    for key, below in node.get("properties", {}).items():
        if "default" in below:
            yield (*path, key), below
        else:
            yield from settings(below, (*path, key))


def test_every_setting_says_its_rule_its_default_and_an_example() -> None:
    found = dict(settings(schemas.schema(schemas.POLICY)))
    assert len(found) == 28
    for path, node in found.items():
        assert node["description"].strip(), path
        for example in [node["default"], *node["examples"]]:
            document: Any = example
            for key in reversed(path):
                document = {key: document}
            read_policy(as_toml(document))


def test_the_defaults_of_the_schema_are_those_of_the_code_and_of_the_text() -> None:
    document: dict[str, Any] = {}
    for path, node in settings(schemas.schema(schemas.POLICY)):
        section = document
        for key in path[:-1]:
            section = section.setdefault(key, {})
        section[path[-1]] = node["default"]
    assert read_policy(as_toml(document)) == Policy() == read_policy(default_policy()) == read_policy("")


def test_the_default_text_names_and_explains_every_setting() -> None:
    lines = default_policy().splitlines()
    for path, _ in settings(schemas.schema(schemas.POLICY)):
        place = path[-1]
        written = [i for i, line in enumerate(lines) if line.startswith((f"{place} = ", f"[{'.'.join(path)}]"))]
        written += [i for i, line in enumerate(lines) if line == f"[[{'.'.join(path)}]]"]
        assert written, path
        around = lines[max(written[0] - 5, 0) : written[0] + 4]
        assert any(line.startswith("#") for line in around), path
    assert max(map(len, lines)) <= 100


def test_ranges_are_named_in_the_units_of_people() -> None:
    ranged = [node for _, node in settings(schemas.schema(schemas.POLICY)) if "x-diadem-least" in node]
    ranged.append(schemas.schema(schemas.POLICY)["$defs"]["interval"])
    assert len(ranged) == 10
    for node in ranged:
        read = read_size if "B" in node["x-diadem-least"] else read_duration
        assert read(node["x-diadem-least"]) < read(node["x-diadem-most"])  # type: ignore[operator]
