"""Statements against their schemas: every kind has valid and invalid examples; the schema and the model agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.model.ids import PackageId
from diadem.model.statements import KINDS, Draft, Statement, Subject
from diadem.serialization import schemas
from diadem.serialization.statements import read_statement, validate_draft
from diadem.serialization.strict_json import parse
from tests.serialization.record_documents import EXAMPLES, example

PROPERTY = settings(max_examples=50, derandomize=True, deadline=None)

NAMES = (schemas.STATEMENT, *(f"{schemas.STATEMENT}/{kind}" for kind in schemas.STATEMENT_KINDS))
VALID = sorted(path.stem for path in (EXAMPLES / "valid" / "statement").glob("*.json"))
#: What each invalid example must be refused for: a piece of the message.
REASONS = {
    "acceptance_without_ceiling": '"ceiling" is a required property',
    "acceptance_with_a_relay_alone": '"seal" is a required property',
    "amendment_joins_a_package": "$.joins[0]",
    "amendment_without_changes": "$.changes",
    "another_predicate_type": "its predicateType",
    "another_type": "_type https://in-toto.io/Statement/v1",
    "assessment_by_hearsay": "$.evidence[0]",
    "assessment_for_nothing": '"purpose" is a required property',
    "assessment_of_a_good_mark": "accept, limited or reject",
    "assessment_of_a_signal_of_nothing": '"dataset" is a required property',
    "assessment_unit_without_value": '"value" is a required property',
    "audit_without_outcome": '"outcome" is a required property',
    "closure_without_checkpoint": '"checkpoint" is a required property',
    "decline_of_no_offer": '"offer" is a required property',
    "derivation_of_a_folder": "diadem: and 64 hex digits",
    "derivation_of_nothing": "$.sources",
    "digest_in_upper_case": "64 lower-case hex digits",
    "drop_proof_time_with_offset": "UTC to the second",
    "drop_without_proofs": "$.proofs",
    "fixity_finding_of_no_package": '$.findings[0]: "package" is a required property',
    "fixity_level_in_words": '"quick", "leaves" or "full"',
    "grant_of_everything": "$.rights[1]",
    "grant_without_rights": '"rights" is a required property',
    "handover_to_nobody": '"to" is a required property',
    "head_of_nothing": "$.length",
    "ingest_bytes_as_text": '$.bytes: "5 GB" is not of type "integer"',
    "ingest_owner_without_node": "Written user@node",
    "ingest_predecessor_without_prefix": "diadem: and 64 hex digits",
    "ingest_without_owner": '"owner" is a required property',
    "key_in_hex": "ed25519: and the base64 of 32 bytes",
    "key_of_unknown_role": "$.role",
    "name_and_digest_disagree": "has the digest of another",
    "no_node": "lacks node",
    "no_subject": "this one 0",
    "no_such_day": "2026-02-30",
    "offer_by_pigeon": "$.routes[0]",
    "offer_of_a_short_transfer": "$.transfer",
    "peer_of_no_event": "$.event",
    "prev_of_another": "prev names exactly its subjects",
    "permit_of_a_transfer_id": "$.relay",
    "permit_without_ceiling": '"ceiling" is a required property',
    "receipt_landed_nowhere": "$.stores",
    "recovery_of_the_first_epoch": "$.epoch: 1",
    "relay_lost": '"delivered", "deleted" or "expired"',
    "relay_of_nothing": "$.objects",
    "repair_leaf_negative": "$.leaf: -1",
    "repair_without_digest": "$.after: null",
    "replicate_proof_unknown": "$.proof",
    "revocation_of_nothing": '"revokes" is a required property',
    "rule_without_ceiling": '"max_bytes" is a required property',
    "salt_too_short": "salt 32",
    "sample_linked_without_reason": '"reason" is a required property',
    "sample_lost_some_day": "$.date",
    "sample_made_by_magic": "$.parents[0].how",
    "sample_of_no_event": '"event" is a required property',
    "sample_orcid_without_address": "$.maker",
    "sample_parent_by_name": "$.parents[0].sample",
    "sample_received_undated": '"date" is a required property',
    "sample_retracted_in_words": "$.retracts",
    "sample_retracted_without_reason": '"reason" is a required property',
    "sample_sent_nowhere": '"to" is a required property',
    "sample_with_a_line_break": "No control characters",
    "sample_without_identifier": '"identifier" is a required property',
    "subject_twice": "stands twice",
    "tombstone_lost_in_words": '$.lost: "yes" is not of type "boolean"',
    "tombstone_without_reason": "$.reason: the text is empty",
    "unknown_top_member": "an in-toto Statement is expected",
}
#: Faults that a schema cannot see: they join several members, or need a calendar.
BEYOND_SCHEMAS = {"name_and_digest_disagree", "no_such_day", "prev_of_another", "subject_twice"}
PACKAGE = Subject.package("ef" * 32)


def _payload(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _fits_schemas(document: Any) -> bool:
    """Whether the shipped schemas alone, as another program would use them, take the document."""
    if not schemas.validator(schemas.STATEMENT).is_valid(document):
        return False
    kind = document["predicateType"].split("/")[-2]
    return kind not in schemas.STATEMENT_KINDS or schemas.validator(f"{schemas.STATEMENT}/{kind}").is_valid(
        document["predicate"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_schema_says_who_it_is_and_is_strict_json(name: str) -> None:
    document = schemas.schema(name)
    assert document["$id"] == name
    jsonschema_rs.meta.validate(document)
    folder = Path(__file__).resolve().parents[2] / "schemas" / "statement" / "1.0.0"
    files = [path for path in folder.glob("*.schema.json") if json.loads(path.read_text("utf-8"))["$id"] == name]
    assert len(files) == 1
    assert parse(files[0].read_bytes(), where=str(files[0])) == document


def test_every_schema_is_of_a_kind_that_is_known_and_says_what_it_means() -> None:
    assert set(schemas.STATEMENT_KINDS) <= set(KINDS)
    folder = Path(__file__).resolve().parents[2] / "schemas" / "statement" / "1.0.0"
    assert len(list(folder.iterdir())) == len(NAMES)
    for kind in schemas.STATEMENT_KINDS:
        document = schemas.schema(f"{schemas.STATEMENT}/{kind}")
        assert set(document["required"]) <= set(document["properties"])
        assert not {"node", "time", "salt", "prev"} & set(document["properties"])


@pytest.mark.parametrize("name", VALID)
def test_a_valid_example_is_read_and_kept(name: str) -> None:
    document = example(f"valid/statement/{name}.json")
    assert _fits_schemas(document)
    statement = read_statement(_payload(document))
    assert statement.to_dict() == document
    assert (statement.known is None) == (name == "unknown_kind")


@pytest.mark.parametrize("name", sorted(REASONS))
def test_an_invalid_example_is_refused_for_its_own_fault(name: str) -> None:
    document = example(f"invalid/statement/{name}.json")
    with pytest.raises(DocumentError) as caught:
        read_statement(_payload(document))
    assert REASONS[name] in str(caught.value)
    assert _fits_schemas(document) == (name in BEYOND_SCHEMAS)


def test_every_reason_has_its_example_and_every_schema_a_valid_one() -> None:
    assert {path.stem for path in (EXAMPLES / "invalid" / "statement").glob("*.json")} == set(REASONS)
    kinds = {Statement.from_dict(example(f"valid/statement/{name}.json")).kind for name in VALID}
    assert set(schemas.STATEMENT_KINDS) <= kinds


@pytest.mark.parametrize("name", [name for name in VALID if name != "unknown_kind"])
def test_what_is_written_is_judged_before_it_is_signed(name: str) -> None:
    statement = Statement.from_dict(example(f"valid/statement/{name}.json"))
    own = {key: value for key, value in statement.predicate.items() if key not in {"node", "time", "salt", "prev"}}
    validate_draft(Draft(statement.kind, statement.subjects, own))
    for member in schemas.schema(f"{schemas.STATEMENT}/{statement.kind}")["required"]:
        rest = {key: value for key, value in own.items() if key != member}
        with pytest.raises(DocumentError, match=f'"{member}" is a required property'):
            validate_draft(Draft(statement.kind, statement.subjects, rest))


def test_every_kind_has_a_schema() -> None:
    assert set(schemas.STATEMENT_KINDS) == set(KINDS)


def test_ids_and_tuples_of_a_program_are_judged_as_the_json_that_they_become() -> None:
    package = PackageId(PACKAGE.name)
    validate_draft(Draft("fixity", (PACKAGE,), {"store": "nas", "level": "full", "proven": (package,), "findings": ()}))
    with pytest.raises(DocumentError, match=r"\$\.proven\[0\]"):
        validate_draft(Draft("fixity", (PACKAGE,), {"store": "nas", "level": "full", "proven": ("x",)}))


def test_what_is_no_json_is_refused_before_it_is_signed() -> None:
    for value in (float("nan"), "\udcff", {1}, b"x"):
        with pytest.raises(DocumentError):
            validate_draft(Draft("countersign", (PACKAGE,), {"reason": value}))


@PROPERTY
@given(st.data())
def test_whatever_is_read_fits_the_schemas(data: st.DataObject) -> None:
    document = example(f"valid/statement/{data.draw(st.sampled_from(VALID))}.json")
    place = document
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    odd: st.SearchStrategy[Any] = (
        st.none() | st.booleans() | st.integers(-1, 1) | st.text(max_size=3) | st.just([]) | st.just({})
    )
    place[key] = data.draw(odd)
    try:
        read_statement(_payload(document))
    except DocumentError:
        return
    assert _fits_schemas(document)
