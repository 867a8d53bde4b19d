"""Required metadata: what counts as stated, and that what is advised does state it."""

from __future__ import annotations

import shlex
import tomllib
from typing import Any

import pytest

from diadem.errors import Refused
from diadem.model.policy import Policy, RequiredMetadata
from diadem.model.record import Dataset, Datasets, Record
from diadem.policy.required import (
    keys_that_can_be_required,
    meta_lines,
    require_stated,
    required_missing,
    supply_advice,
)
from diadem.serialization.metadata_pairs import metadata_from_pairs
from diadem.serialization.validation import validate_metadata
from diadem.terms.fields import field_keys


def policy(*required: str) -> Policy:
    """A policy that requires keys."""
    return Policy(metadata=RequiredMetadata(required))


def record(*fields: dict[str, Any], **head: Any) -> Record:
    """A record whose datasets state fields, and whose head says more."""
    documents = [{"id": f"d{index}", "fields": stated} for index, stated in enumerate(fields, 1)]
    datasets = [Dataset(document, field_keys()) for document in documents]
    return Record("diadem-record/1.0.0", Datasets(datasets), field_keys(), **head)


STATED = [{"value": "S-12", "status": "stated", "source": {}, "by": {}}]


def test_one_dataset_that_states_it_is_enough() -> None:
    assert required_missing(policy("sample.name"), record({}, {"sample.name": STATED})) == []


def test_what_a_person_said_counts() -> None:
    said = record({}, sample={"name": "ZnO"}, session={"title": "x"}, instrument={"name": "Titan"})
    assert required_missing(policy("sample.name", "session.title", "instrument.name"), said) == []


def test_an_operator_is_one_who_is_said_to_be_it() -> None:
    assert required_missing(policy("person.operator"), record(people=[{"name": "M", "role": "operator"}])) == []
    assert required_missing(policy("person.operator"), record(people=[{"name": "M", "role": "owner"}])) == [
        "person.operator"
    ]
    assert required_missing(policy("person.orcid"), record(people=[{"name": "M"}, {"name": "N", "orcid": "x"}])) == []


def test_what_is_missing_comes_in_the_order_of_the_policy() -> None:
    wanted = policy("session.title", "sample.name", "person.operator")
    assert required_missing(wanted, record({"sample.name": STATED}, {})) == ["session.title", "person.operator"]
    assert required_missing(wanted, record()) == ["session.title", "sample.name", "person.operator"]


def test_a_preparation_is_stated_by_files_under_another_name() -> None:
    stated = record({"sample.prep_step": STATED})
    assert required_missing(policy("sample.preparation", "sample.prep_step"), stated) == []


@pytest.mark.parametrize("nothing", [{}, {"sample.name": []}])
def test_an_empty_statement_states_nothing(nothing: dict[str, Any]) -> None:
    assert required_missing(policy("sample.name"), record(nothing, sample={"name": ""})) == ["sample.name"]


def test_without_requirements_nothing_is_missing() -> None:
    assert required_missing(Policy(), record()) == []
    require_stated(Policy(), record())


def test_the_refusal_names_the_keys_and_says_how_to_supply_them() -> None:
    with pytest.raises(Refused) as caught:
        require_stated(policy("sample.name", "person.operator"), record(), where="/data/session")
    assert caught.value.exit_code == 4
    assert caught.value.where == "/data/session"
    assert "requires sample.name and person.operator" in caught.value.message
    assert '--set sample.name="ZnO nanorods" --set people.operator="Marie Curie"' in str(caught.value.next)
    assert "--meta" in str(caught.value.next)


def test_one_key_is_spoken_of_as_one() -> None:
    with pytest.raises(Refused) as caught:
        require_stated(policy("sample.name"), record())
    assert caught.value.message.endswith(
        "requires sample.name, and neither the files nor the session's metadata state it"
    )
    assert "people" not in str(caught.value.next)


def follow(advice: str) -> dict[str, Any]:
    """What the options of an advice give, as a shell and the command line read them."""
    words = shlex.split(advice.splitlines()[0].removeprefix("Add to the command: "))
    assert words[::2] == ["--set"] * (len(words) // 2)
    return metadata_from_pairs(words[1::2])


@pytest.mark.parametrize("key", sorted(keys_that_can_be_required()))
def test_who_follows_the_advice_has_stated_the_key(key: str) -> None:
    advice = supply_advice([key])
    said = follow(advice)
    assert required_missing(policy(key), record(**without_extensions(said))) == []
    assert validate_metadata(tomllib.loads(meta_lines([key]))) == said


def test_who_follows_the_advice_for_all_keys_has_stated_them_all() -> None:
    keys = sorted(keys_that_can_be_required())
    for said in (follow(supply_advice(keys)), validate_metadata(tomllib.loads(meta_lines(keys)))):
        assert required_missing(policy(*keys), record(**without_extensions(said))) == []


def without_extensions(document: dict[str, Any]) -> dict[str, Any]:
    """What of a metadata document is the head of a record."""
    return {key: value for key, value in document.items() if key != "extensions"}


def test_only_what_a_person_can_say_can_be_required() -> None:
    keys = keys_that_can_be_required()
    assert {"sample.name", "person.operator", "session.title", "instrument.name", "sample.prep_step"} <= keys
    assert "beam.acceleration_voltage" not in keys
