"""Judgements as a sheet: written, edited, read back; nobody's judgement is changed by another, nothing newer undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import diadem
from diadem.custody import statements
from diadem.errors import DocumentError, UsageError
from diadem.model.assessments import Assessment
from diadem.model.policy import Scheme
from tests.node.verbs.conftest import Lab
from tests.node.verbs.test_sample_sheets import KINDS, Rows, edit, is_empty, read

pytestmark = pytest.mark.catalogue

_PROPERTY = settings(max_examples=8, derandomize=True, deadline=None, phases=[Phase.generate],
                     suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip


@pytest.fixture
def judged(lab: Lab) -> Lab:
    """Two packages of three files; alice and bob have judged the first."""
    lab.node.users.add("bob")
    one = lab.archived("one", size=100)
    lab.archived("two", size=100)
    lab.node.assess(one, "accept", purpose="imaging", dataset="scan 0.bin", comment="sharp")
    lab.node.assess(one, "limited", purpose="EELS", criterion="drift", value=0.1 + 0.2, unit="nm")
    with diadem.open_node(lab.node.path, user="bob") as bob:
        bob.assess(one, "reject", purpose="imaging", dataset="scan 0.bin", evidence=[one, "https://x.org/1"])
    return lab


def exported(lab: Lab, kind: str = ".csv", **how: Any) -> Path:
    path = lab.root / f"judgements{kind}"
    lab.node.judgements.export(path, replace=True, **how)
    return path


def counting(lab: Lab, title: str = "one") -> list[tuple[str, str, str, str]]:
    """What counts of a package: who, verdict, purpose, comment."""
    (row,) = [row for row in lab.node.search() if row.title == title]
    return [(one.by.partition("@")[0], one.verdict, one.purpose, one.comment) for one in lab.node.assessments(row.id)]


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(judged: Lab, kind: str) -> None:
    path = exported(judged, kind)
    rows = read(path)
    assert [(row["session"], row["dataset"] or "", row["verdict"], row["by"]) for row in rows] == [
        ("one", "scan 0.bin", "accept", "alice@hu-berlin"),
        ("one", "", "limited", "alice@hu-berlin"),
        ("one", "scan 0.bin", "reject", "bob@hu-berlin"),
    ]
    done = judged.node.judgements.import_(path)
    assert is_empty(done)
    assert done.unchanged == 3

    def change(rows: Rows) -> None:
        rows[0] |= {"verdict": "Limited ", "comment": ""}
        rows[1] |= {"criterion": "thickness", "value": 0.9, "unit": "λ"}
        rows.append(
            {"package": rows[0]["package"][:20], "dataset": "scan 2.bin", "purpose": "EDX", "verdict": "accept"}
        )

    edit(path, change)
    shown = judged.node.judgements.import_(path, dry_run=True)
    assert [(one.row, one.what, one.about.partition(" of ")[0]) for one in shown.changes] == [
        (2, "changed", "imaging, scan 0.bin"), (3, "changed", "EELS (drift), all"), (5, "new", "EDX, scan 2.bin"),
    ]  # fmt: skip
    assert judged.node.judgements.import_(path, shown=shown).written == 3
    assert is_empty(judged.node.judgements.import_(path))
    expected = [("bob", "reject", "imaging", ""), ("alice", "limited", "imaging", ""), ("alice", "limited", "EELS", ""),
                ("alice", "accept", "EDX", "")]  # fmt: skip
    assert counting(judged) == expected
    judged.node.reindex()
    assert counting(judged) == expected


def test_only_ones_own_and_nothing_newer(judged: Lab) -> None:
    path, before = exported(judged), judged.node.context.ledger.total
    edit(path, lambda rows: rows[2].update(verdict="accept"))
    found = judged.node.judgements.import_(path, dry_run=True)
    assert [str(one) for one in found.faults] == [
        "row 4, verdict: only bob@hu-berlin can change what bob@hu-berlin has assessed"
    ]
    with pytest.raises(DocumentError, match="only bob@hu-berlin can change"):
        judged.node.judgements.import_(path)
    assert judged.node.context.ledger.total == before
    with diadem.open_node(judged.node.path, user="bob") as bob:
        assert bob.judgements.import_(path).written == 1
    path = exported(judged)
    (package, *_) = {row["package"] for row in read(path)}
    judged.node.assess(package, "reject", purpose="imaging", dataset="scan 0.bin", comment="astigmatic")
    found = judged.node.judgements.import_(path)
    assert is_empty(found)
    assert found.older == 1
    edit(path, lambda rows: rows[0].update(comment="sharp at last"))
    done = judged.node.judgements.import_(path)
    assert (done.written, [(one.row, one.column, one.now, one.wanted) for one in done.conflicts]) == (
        0, [(2, "verdict", "reject", "accept"), (2, "comment", "astigmatic", "sharp at last")],
    )  # fmt: skip
    assert counting(judged)[-1] == ("alice", "reject", "imaging", "astigmatic")


def test_what_nobody_has_judged_yet(judged: Lab) -> None:
    path = exported(judged, todo=True)
    rows = read(path)
    assert [(row["session"], row["dataset"]) for row in rows] == [("two", f"scan {n}.bin") for n in range(3)]
    assert len(read(exported(judged, todo=True, purpose="imaging"))) == 5
    assert len(read(exported(judged, todo=True, purpose="imaging", query="two"))) == 3

    def change(rows: Rows) -> None:
        rows[0] |= {"verdict": "accept", "comment": "-"}
        rows[2] |= {"comment": "?"}

    edit(path := exported(judged, todo=True, purpose="imaging", query="two"), change)
    found = judged.node.judgements.import_(path, dry_run=True)
    assert [str(one) for one in found.faults] == ["row 4, verdict: there is no verdict"]
    edit(path, lambda rows: rows[2].update(comment=""))
    done = judged.node.judgements.import_(path)
    assert (done.written, done.waiting) == (1, 2)
    assert counting(judged, "two") == [("alice", "accept", "imaging", "-")]
    again = judged.node.judgements.import_(path)
    assert (is_empty(again), again.unchanged, again.waiting) == (True, 1, 2)
    edit(path, lambda rows: rows[0].update(verdict="reject"))
    assert judged.node.judgements.import_(path).conflicts[0].now == "accept"
    with pytest.raises(UsageError, match="still to be assessed"):
        judged.node.judgements.export(path, purpose="imaging", replace=True)


def test_every_cell_that_cannot_be_understood_is_told(judged: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = judged.node.context.policy
    schemes = {"eels": Scheme("EELS", ("thickness", "drift"))}
    monkeypatch.setitem(judged.node.context.__dict__, "policy", _with(policy, schemes))
    path = exported(judged)
    package = read(path)[0]["package"]

    def change(rows: Rows) -> None:
        rows[0] |= {"verdict": "good", "value": "much", "evidence": "see below"}
        rows[1] |= {"by": "bob@hu-berlin"}
        rows[2] |= {"dataset": "scan 1.bin"}
        fine = {"package": package, "verdict": "accept", "purpose": "EDX"}
        rows += [
            fine | {"package": "0123456789ab"}, fine | {"dataset": "scan 9.bin"}, fine | {"purpose": ""},
            fine | {"scheme": "edx"}, fine | {"scheme": "eels"}, fine | {"scheme": "eels", "purpose": ""},
            fine | {"unit": "nm"}, fine | {"signal": "s1"}, fine | {"by": "bob@hu-berlin"}, fine | {"statement": "ab"},
            fine, fine | {"purpose": "edx "}, fine | {"purpose": "x" * 201},
            fine | {"purpose": "", "scheme": "eels", "criterion": "Drift", "verdict": "reject"},
        ]  # fmt: skip

    edit(path, change)
    before = judged.node.context.ledger.total
    found = judged.node.judgements.import_(path, dry_run=True)
    assert [(one.row, one.column) for one in found.faults] == [
        (2, "verdict"), (2, "value"), (2, "evidence"), (3, "by"), (4, "dataset"), (5, "package"), (6, "dataset"),
        (7, "purpose"), (8, "scheme"), (9, "purpose"), (10, "criterion"), (11, "value"), (12, "signal"), (13, "by"),
        (14, "statement"), (16, ""), (17, ""),
    ]  # fmt: skip
    assert [one.row for one in found.changes] == [15]
    assert {one.row for one in found.conflicts} == {18}  # alice has said otherwise of the drift
    with pytest.raises(DocumentError, match=r"\(and 16 more\)"):
        judged.node.judgements.import_(path)
    assert judged.node.context.ledger.total == before


def _with(policy: Any, schemes: dict[str, Scheme]) -> Any:
    from dataclasses import replace

    return replace(policy, quality=replace(policy.quality, schemes=schemes))


def test_numbers_of_spreadsheet_programs(judged: Lab) -> None:
    path = exported(judged)
    text = path.read_text("utf-8-sig").replace(",", ";").replace("0.30000000000000004", "0,3")
    path.write_text(text, "utf-8")
    found = judged.node.judgements.import_(path, dry_run=True)
    assert is_empty(found)
    path.write_text(text.replace("0,3", "0,25"), "utf-8")
    judged.node.judgements.import_(path)
    (package, *_) = {row["package"] for row in read(exported(judged))}
    assert [one.value for one in judged.node.assessments(package) if one.value is not None] == [0.25]


_LABEL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10).filter(str.strip)
_LABEL |= st.sampled_from(["=1+1", "'x", "2026-03-14", "12.0", "_x0041_", "TRUE", "a;b"])
_COMMENT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(["=1", "a\r\nb\n", "\t-"])


@_PROPERTY
@given(
    said=st.lists(
        st.tuples(_LABEL, _LABEL, _COMMENT, st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        min_size=5, max_size=25,
    ),
    kind=st.sampled_from(KINDS),
)  # fmt: skip
def test_any_text_comes_back_as_no_change(judged: Lab, said: list[tuple[Any, ...]], kind: str) -> None:
    (row,) = judged.node.search("two")
    drafts = []
    for purpose, criterion, comment, value in said:
        labels = (" ".join(purpose.split()), " ".join(criterion.split()))
        one = Assessment("", 0, judged.node.user, "accept", *labels, comment=comment.strip(), value=value)
        drafts.append(statements.assessment(row.id, one))
    judged.node.context.say(drafts, as_user=True)
    found = judged.node.judgements.import_(exported(judged, kind), dry_run=True)
    assert (found.faults, found.conflicts, found.changes, found.notes) == ((), (), (), ())
    assert found.unchanged == 3 + len(judged.node.assessments(row.id))
