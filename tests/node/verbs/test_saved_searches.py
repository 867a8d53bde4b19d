"""Saved searches: found by name, checked when they are saved, and kept when the node is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diadem
from diadem.catalogue.query import MAX_LENGTH
from diadem.errors import DocumentError, NotFound, Refused, UsageError
from diadem.node.saved_searches import expanded, references
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def test_a_saved_search_stands_for_itself_in_others(lab: Lab) -> None:
    lab.archived("ZnO one")
    lab.archived("ZnO two")
    lab.archived("GaN one")
    node = lab.node
    saved = node.queries.save("ZnO", "title:ZnO or title:oxide")
    assert (saved.name, saved.by) == ("zno", "alice@hu-berlin")
    node.queries.save("later", "@zno not @ZNO one")
    assert [one.name for one in node.queries] == ["later", "zno"]
    assert node.search("@zno").total == 2
    assert [row.title for row in node.search("@zno one")] == ["ZnO one"], "it is in parentheses"
    assert node.search("@later").total == 0
    assert node.facets("@zno", ["owner"]).total == 2
    assert node.search('"@zno"').total == 2, "in quotes it is a word"
    assert node.queries.save("zno", saved.query).query == saved.query, "the same again is no change"
    with pytest.raises(Refused, match="already"):
        node.queries.save("zno", "GaN")
    with pytest.raises(Refused, match="@later"):
        node.queries.delete("zno")
    node.queries.save("zno", "GaN", overwrite=True)
    assert node.search("@zno").total == 1
    node.queries.delete("later")
    node.queries.delete("ZnO")
    assert node.queries.ls() == []


def test_what_cannot_be_saved(lab: Lab) -> None:
    queries = lab.node.queries
    queries.save("a", "HAADF")
    queries.save("b", "@a kV=200")
    for name, query, what in (
        ("a", "@b", "@b → @a → @b"),
        ("c", "@c", "@c → @c"),
        ("c", "@aa", "no saved search '@aa'"),
        ("c", "voltag=3", "no field 'voltag'"),
        ("c", "(", "ends where a word is missing"),
        ("c", "  ", "needs no name"),
        ("../x", "HAADF", "cannot be the name"),
        ("", "HAADF", "cannot be the name"),
        ("x" * 65, "HAADF", "cannot be the name"),
    ):
        with pytest.raises(UsageError) as refused:
            queries.save(name, query, overwrite=True)
        assert what in str(refused.value)
        assert refused.value.next
    assert [one.name for one in queries] == ["a", "b"]
    with pytest.raises(UsageError, match=r"(?s)no saved search '@x'.*\n  HAADF @x\n        \^\^"):
        lab.node.search("HAADF @x")
    with pytest.raises(NotFound, match="@x"):
        queries.delete("x")


def test_they_outlive_the_node(lab: Lab) -> None:
    lab.archived("s")
    lab.node.queries.save("mine", "title:s")
    lab.node.close()
    with diadem.open_node(lab.root / "main") as store:
        assert store.search("@mine").total == 1
        with pytest.raises(Refused):
            store.queries.save("other", "s")
    recovery = lab.root / "node-recovery.txt"
    with diadem.Node.recover(lab.root / "again", lab.root / "main", recovery_file=recovery) as again:
        assert [(one.name, one.query, one.by) for one in again.queries] == [("mine", "title:s", "alice@hu-berlin")]
        assert again.search("@mine").total == 1


@pytest.mark.parametrize(
    "text", ["x", 'format = "diadem-queries/1"\n[queries.a]\nquery = 1\nby = ""\nsaved = 2026-01-01T00:00:00Z', "\0"]
)
def test_a_damaged_file_is_named(lab: Lab, text: str) -> None:
    (lab.node.path / "queries.toml").write_text(text)
    with pytest.raises(DocumentError) as refused:
        lab.node.search("@a")
    assert refused.value.where == str(lab.node.path / "queries.toml")
    assert lab.node.search("a").total == 0, "other searches do not need it"


def test_a_file_of_a_later_version_is_left_alone(lab: Lab) -> None:
    (lab.node.path / "queries.toml").write_text('format = "diadem-queries/2"\n')
    with pytest.raises(Refused, match="diadem-queries/2"):
        lab.node.queries.save("a", "HAADF")


def test_on_the_command_line(lab: Lab) -> None:
    on = ("--node", lab.node.path)
    lab.archived("ZnO")
    assert "no saved searches" in said("search", "--saved", *on)
    assert "@zno             title:ZnO   (alice@hu-berlin, " in said("search", "--save", "zno", "title:ZnO", *on)
    assert said_json("search", "@zno", *on)["total"] == 1
    assert said_json("search", "--saved", "zno", *on)["queries"][0]["query"] == "title:ZnO"
    assert "add --overwrite" in said("search", "--save", "zno", "GaN", *on, code=4)
    assert "Did you mean @zno" in said("search", "@zn", *on, code=2)
    assert "no saved search" in said("search", "--saved", "none", *on, code=3)
    assert "at a time" in said("search", "--saved", "--forget", "zno", *on, code=2)
    assert "forgotten        1 search" in said("search", "--forget", "zno", *on)
    assert said_json("search", "--saved", *on) == {"queries": []}


def test_facets_on_the_command_line(lab: Lab) -> None:
    on = ("--node", lab.node.path)
    lab.archived("ZnO")
    text = said("search", "--facets", *on)
    assert "owner\n  alice@hu-berlin " in text
    assert "quality\n  none " in text
    assert text.endswith("\n1 package\n")
    text = said("search", "ZnO", "--by", "store,format", *on)
    assert text.startswith("store\n  main ")
    assert "store:main\nformat\n  unknown " in text
    document = said_json("search", "nothing", "--facets", *on)
    assert (document["total"], document["facets"]) == (0, [])
    assert "nothing matches" in said("search", "nothing", "--facets", *on)
    assert "no field 'xyzzy'" in said("search", "--by", "xyzzy", *on, code=2)


NAMES = st.sampled_from("abcd")
PIECES = st.lists(st.one_of(NAMES.map("@{}".format), st.sampled_from(["x", '"@a b"', "(y or z)"])), min_size=1)


@settings(max_examples=100, derandomize=True)
@given(st.dictionaries(NAMES, PIECES.map(" ".join)), PIECES.map(" ".join))
def test_expanding_ends(saved: dict[str, str], query: str) -> None:
    try:
        text = expanded(query, saved)
    except UsageError:
        return
    assert references(text) == []
    assert text.count("(") == text.count(")")
    assert len(text) <= MAX_LENGTH + len(query)


def test_searches_that_grow_without_end_are_stopped() -> None:
    saved = {"a0": "word"} | {f"a{n}": " ".join([f"@a{n - 1}"] * 10) for n in range(1, 12)}
    with pytest.raises(UsageError, match="longer than"):
        expanded("@a11", saved)
    chain = {"a0": "word"} | {f"a{n}": f"@a{n - 1}" for n in range(1, 5000)}
    assert expanded("@a10", chain).count("(") == 11
    with pytest.raises(UsageError, match="more than 20"):
        expanded("@a4999", chain)
