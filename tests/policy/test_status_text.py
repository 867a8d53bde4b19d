"""The status as a person reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from diadem.model.policy import Copies, Policy
from diadem.model.replicas import SUSPECT, PackageState, StoreState
from diadem.policy.case import NodeState
from diadem.policy.status import status_text
from tests.policy.archives import HAPPY, MAIN, NAS, archives, identity, judged, package, replica

ONE = [package(1, replica("main"))]
GREEN = [package(1, replica("main"), replica("nas"))]


def shown(*args: Any, **more: Any) -> str:
    """The text of an archive's status."""
    options = {key: more.pop(key) for key in ("ascii_only", "width") if key in more}
    return status_text(judged(*args, **more).to_dict(), **options)


def test_from_nothing_to_green_each_screen_says_what_comes_next() -> None:
    empty = shown([], [MAIN], node=NodeState("hu-berlin"))
    assert "hu-berlin: nothing is archived yet" in empty
    assert "1. diadem archive FOLDER" in empty
    assert "2. diadem init --confirm-recovery" in empty
    one = shown(ONE, [MAIN])
    assert "✗ copies" in one
    assert "1 package has 1 proven copy; the policy wants 2: ZnO 1" in one
    assert one.index("1. diadem store add PLACE") < one.index("2. diadem repair")
    added = shown(ONE, [MAIN, NAS])
    assert "1. diadem repair  copies 1 package (1 GB) to nas" in added
    green = shown(GREEN, [MAIN, NAS])
    assert "✗" not in green
    assert "Every rule holds (2026-03-14 09:26 UTC)" in green
    assert green.endswith("Nothing to do.")


SCREEN = """\
hu-berlin: 1 package, 20 files, 1 GB; 2 copies, 2 proven
Every rule holds (2026-03-14 09:26 UTC)

  store  kind  copies  size  free  proven since  place
  main   disk       1  1 GB  1 TB  2026-03-14    /data/archive
  nas    nas        1  1 GB  4 TB  2026-03-14    //nas/em

  ✓ copies         every package has 2 proven copies on different disks
  ✓ damage         none is known
  ✓ scrub          every copy was proven within the last 90 days (the oldest proof: 2026-03-14)
  ✓ stores         both answer
  ✓ space          1 TB free on main, more on the other
  ✓ custody        every package has its ingest statement
  ✓ log            is in a store too
  ✓ recovery file  confirmed as moved away

Nothing to do."""


def test_the_green_screen_word_for_word() -> None:
    assert shown(GREEN, [MAIN, NAS]) == SCREEN


def test_a_console_without_marks_gets_letters() -> None:
    packages = [*GREEN, package(2, replica("main"), replica("nas", state=SUSPECT), title="Übergang – Nanostäbe")]
    text = shown(packages, [MAIN, NAS], ascii_only=True, node=NodeState("hu"))
    assert text.isascii()
    assert "\n  NO copies" in text
    assert "\n  ok stores" in text
    assert "\n  -  scrub" in text
    assert "\n  !  recovery file" in text


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_lines_fit_the_console(width: int) -> None:
    packages = [package(n, replica("main", 100), title="a session with a title " * 4) for n in range(40)]
    text = shown(packages, [MAIN, NAS], width=width, node=NodeState("hu", log_pending=3))
    assert max(map(len, text.splitlines())) <= max(width, 70)


def test_a_title_cannot_take_over_the_console() -> None:
    evil = package(1, replica("main"), title="\x1b[2J\x1b[31m\r\nfoo\u202e\x07")
    text = shown([evil], [replace(MAIN, url="/data/\x1b]0;x\x07")])
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert "foo" in text


def test_long_lists_are_counted() -> None:
    text = shown([package(n, replica("main")) for n in range(1, 41)], [MAIN])
    assert "and 38 more" in text
    assert identity(1)[7:19] in text
    assert identity(3)[7:19] not in text


def test_what_is_wrong_with_a_store_stands_beside_it() -> None:
    packages = [
        package(1, replica("main", None), replica("nas")),
        package(2, replica("main", state=SUSPECT), replica("nas")),
    ]
    text = shown(packages, [MAIN, replace(NAS, reachable=False, free=None)])
    (main,) = [line for line in text.splitlines() if line.startswith("  main ")]
    (nas,) = [line for line in text.splitlines() if line.startswith("  nas ")]
    assert main.endswith("/data/archive  (1 damaged, 1 never read)")
    assert "  never  " in main
    assert nas.endswith("//nas/em  (does not answer)")


def test_nothing_is_said_beside_a_long_place_where_nothing_is_wrong() -> None:
    text = shown(GREEN, [replace(MAIN, url="/data/" + "a" * 100), NAS], width=80)
    assert "a" * 100 in text
    assert "()" not in text


def test_the_node_may_be_told_as_an_object() -> None:
    document = judged(GREEN, [MAIN, NAS]).to_dict()
    told = {**document, "node": {"name": "hu-berlin", "path": "/home/alice/node"}}
    assert status_text(told) == status_text(document)


def test_a_hundred_thousand_faults_are_still_one_screen() -> None:
    packages = [package(n, replica("main", 100 + n, state=SUSPECT if n % 3 else "present")) for n in range(1000)]
    policy = Policy(copies=Copies(minimum=3, kinds={"offsite": 1, "cold": 1}))
    text = shown(packages, [MAIN, NAS], policy=policy, node=NodeState("hu", log_pending=1, clock_ok=False))
    assert len(text.splitlines()) <= 50


@settings(max_examples=25, deadline=None)
@given(archives())
def test_every_status_has_a_text_that_agrees_with_it(
    archive: tuple[Policy, list[PackageState], list[StoreState]],
) -> None:
    policy, packages, stores = archive
    status = judged(packages, stores, policy, node=HAPPY)
    text = status_text(status.to_dict())
    assert ("✗" in text) == (not status.ok)
    assert ("broken" in text.splitlines()[1].removeprefix("No rule is broken")) == (not status.ok)
    for step in status.steps:
        assert step.command in text


def test_what_is_printed_in_python_is_the_same_screen_with_calls() -> None:
    one = [package(1, replica("main", 100))]
    status = judged(one, [MAIN, NAS], Policy(copies=Copies(minimum=2)))
    screen, printed = status_text(status.to_dict()).splitlines(), str(status).splitlines()
    start = screen.index("What to do now")
    assert printed[:start] == screen[:start]
    assert any("diadem repair" in line for line in screen[start:])
    assert any("node.repair()" in line for line in printed[start:])
    assert "diadem " not in "".join(printed)
