"""Chain files of anyone: what is not exactly a chain is refused, soon, with the place named."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import diadem
from diadem.custody.chain import MAX_BYTES, Chain
from diadem.custody.report import Verdict
from diadem.custody.tree_views import implied_subtrees
from diadem.custody.verify import verify_chains
from diadem.trust.tree import inclusion_proof, leaf_hash, root_of
from tests.custody.group import Group, MemoryMirror, fixity, ingest, package

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
MEMBERS = ["format", "node", "origin", "subject", "keys", "checkpoints", "statements", "head"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    group = Group(tmp_path_factory.mktemp("chain") / "log").create(MemoryMirror())
    group.say(ingest(1), fixity(1))
    data = group.export(package(1))
    group.ledger.close()
    return data


def test_a_chain_is_read_as_it_was_written(chain: bytes) -> None:
    read = Chain.from_bytes(chain)
    assert read.to_bytes() == chain
    assert len(read.statements) == 2
    assert json.loads(chain)["format"] == "diadem-chain/1"
    assert all(item["line"].encode().replace(b'"', b'\\"') in chain for item in json.loads(chain)["statements"])


@settings(max_examples=80, deadline=None)
@given(data=st.binary(max_size=300))
@example(data=b"[" * 200_000)
@example(data=b'{"a":' * 100_000)
@example(data=b"1" * 100_000)
@example(data=b'{"format":"diadem-chain/1"}')
@example(data=b"\xff\xfe")
def test_any_bytes_end_in_a_report(data: bytes) -> None:
    report = verify_chains([data], names=["x.json"])
    assert not report.ok
    assert report.steps[0].verdict is Verdict.CONTRADICTED
    assert report.steps[0].file == "x.json"
    with pytest.raises(diadem.DocumentError):
        Chain.from_bytes(data)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(member=st.sampled_from(MEMBERS), value=JSON)
def test_any_value_of_any_member_ends_in_a_report(chain: bytes, member: str, value: Any) -> None:
    document = json.loads(chain)
    same = document[member] == value
    document[member] = value
    lines = json.dumps(document, allow_nan=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    report = verify_chains([lines])
    assert same or not report.ok


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_value_inside_that_is_of_the_form_but_another(chain: bytes, data: st.DataObject) -> None:
    """Written as a chain is written, so that only the proofs can tell."""
    document = json.loads(chain)
    items = document[data.draw(st.sampled_from(["keys", "statements"]))]
    item = items[data.draw(st.integers(0, len(items) - 1))]
    name = data.draw(st.sampled_from(["epoch", "index", "inclusion", "line"]))
    before = json.dumps(item[name])
    if name in {"epoch", "index"}:
        item[name] = data.draw(st.integers(0, 30))
    elif name == "inclusion":
        item[name] = data.draw(st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=6))
    else:
        item[name] = data.draw(st.sampled_from([other["line"] for other in items]) | st.text(min_size=1, max_size=50))
    members = []
    for member in MEMBERS:
        value = document[member]
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(compact(entry) for entry in value) + "\n]"
        else:
            text = compact(value)
        members.append(f"{compact(member)}:{text}")
    changed = ("{" + ",\n".join(members) + "}\n").encode("utf-8", "surrogatepass")
    if before == json.dumps(item[name]):
        assert changed == chain
    else:
        report = verify_chains([changed])
        assert not report.ok
        assert [*report.of(Verdict.CONTRADICTED), *report.of(Verdict.MISSING)][0].file == "chain 1"


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        (b'"index":4', b'"index":-4', "statements[0]"),
        (b'"index":4', b'"index":4e0', "statements[0]"),
        (b'"index":4', b'"index":true', "statements[0]"),
        (b'"epoch":1,"inclusion":[', b'"epoch":1,"inclusion":[[],', "keys[0]"),
        (b'{"earlier":[', b'{"earlier":[null', "checkpoints[0]"),
        (b'"subject":{', b'"subject":{"x":1,', "subject"),
        (b'"format":"diadem-chain/1"', b'"format":"diadem-chain/2"', "format"),
        (b'"head":"', b'"head":{},"x":"', "file"),
        (b'"statements":[\n', b'"statements":[\n ', "statements[0]"),
        (b'"keys":[\n{', b'"keys":[\n{\x00', "keys[0]"),
        (b'"checkpoints":[\n{', b'"checkpoints":[\n{\xff', "checkpoints[0]"),
    ],
)
def test_the_place_is_named(chain: bytes, old: bytes, new: bytes, where: str) -> None:
    assert old in chain
    with pytest.raises(diadem.DocumentError) as caught:
        Chain.from_bytes(chain.replace(old, new, 1))
    assert caught.value.where == where


def test_a_file_that_is_too_large_is_not_parsed() -> None:
    started = time.process_time()
    with pytest.raises(diadem.DocumentError, match="more than"):
        Chain.from_bytes(bytes(MAX_BYTES + 1))
    assert time.process_time() - started < 2


def test_the_same_item_again_and_again(chain: bytes) -> None:
    """A chain of 1,500 copies of one statement and one key: it ends soon, and is not believed."""
    document = json.loads(chain)
    for name in ("statements", "keys", "checkpoints"):
        many = 900 if name == "checkpoints" else 1500
        document[name] = document[name][:1] * many
    members = []
    for member in MEMBERS:
        value = document[member]
        text = (
            "[\n" + ",\n".join(compact(entry) for entry in value) + "\n]" if isinstance(value, list) else compact(value)
        )
        members.append(f"{compact(member)}:{text}")
    started = time.process_time()
    report = verify_chains([("{" + ",\n".join(members) + "}\n").encode()])
    assert not report.ok
    assert time.process_time() - started < 20


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 70), data=st.data())
def test_proofs_imply_the_subtrees_of_the_tree(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(b"%d" % number) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    proof = tuple(inclusion_proof(index, leaves, size))
    implied = dict(implied_subtrees(leaves[index], index, size, proof))
    assert all(hash_ == root_of(leaves[start:stop]) for (start, stop), hash_ in implied.items())
    assert implied or size == 1


def test_a_file_of_nothing_but_brackets_takes_no_more_memory_than_a_chain() -> None:
    data = b'{"format":"diadem-chain/1",\n"node":[' + b"[]," * 1_000_000 + b"[]]}\n"
    tracemalloc.start()
    try:
        report = verify_chains([data])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not report.ok
    assert peak < 8 * len(data)
