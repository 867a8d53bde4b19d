"""What is damaged is found, named, mended from a good copy, and counts again only when it was read."""

from __future__ import annotations

import gc
import re
import shutil
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

import diadem
from diadem.api.nodes import tools_of_now
from diadem.catalogue import CopyEntry
from diadem.errors import Refused
from diadem.model.replicas import MISSING, PRESENT, SUSPECT
from diadem.node.context import utc_now
from diadem.node.open import open_context
from tests.catalogue.making import NOW, dataset, entry
from tests.cli.inside import said, said_json
from tests.node.verbs.agreeing import require_agreement
from tests.node.verbs.conftest import Lab, damage, remove

pytestmark = pytest.mark.catalogue


@pytest.fixture
def pair(lab: Lab) -> tuple[Lab, str]:
    """A package with two copies."""
    lab.add_second()
    return lab, lab.archived("s", size=3 << 20)


def _states(lab: Lab, package: str) -> dict[str, str]:
    return {replica.store: replica.state for replica in lab.node.context.catalogue.replicas(package)}


def test_a_flip_is_named_by_file_and_leaf_and_mended_alone(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    damage(lab.path(package, "main") / "data/scan 1.bin", at=(2 << 20) + 17)
    scrubbed = lab.node.scrub()
    (found,) = scrubbed.damaged
    assert (found.package, found.store) == (package, "main")
    assert [(one.path, one.leaf) for one in found.report.findings] == [("data/scan 1.bin", 2)]
    assert _states(lab, package) == {"main": SUSPECT, "second": PRESENT}
    repaired = lab.node.repair()
    assert repaired.ok
    assert [(made.path, made.leaf, made.source) for _, _, made in repaired.mended] == [
        ("data/scan 1.bin", 2, "replica:second")
    ]
    assert _states(lab, package) == {"main": PRESENT, "second": PRESENT}
    assert diadem.verify(lab.path(package, "main"), level="full").ok


def _calls(action: Callable[[], object]) -> int:
    """Calls of Python functions while something is done on this thread."""
    count = 0

    def tell(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    gc.collect()  # what ends with other objects is not counted here
    gc.disable()
    sys.setprofile(tell)
    try:
        action()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def test_who_names_one_package_has_no_other_looked_at(pair: tuple[Lab, str]) -> None:
    """To find and repair one leaf among two thousand packages costs what it costs in a node of one."""
    lab, package = pair
    catalogue, counted = lab.node.context.catalogue, []
    for others in (0, 0, 2000):  # the first time, modules are loaded
        found = [entry(f"{number}", [dataset(1, "a.dat", {})]) for number in range(others)]
        catalogue.add_packages(found)
        catalogue.add_copies([CopyEntry(one.id, "main", one.path, NOW) for one in found])
        damage(lab.path(package, "main") / "data/scan 1.bin", at=(2 << 20) + 17)
        scrub, repair = partial(lab.node.scrub, "main", package=package), partial(lab.node.repair, package)
        counted.append((_calls(scrub), _calls(repair)))
        assert _states(lab, package) == {"main": PRESENT, "second": PRESENT}
    _, (scrubs, repairs), (later_scrubs, later_repairs) = counted
    assert later_scrubs < scrubs + 2000
    assert later_repairs < repairs + 2000


@pytest.mark.parametrize(
    "tag", ["manifest-sha256.txt", "tagmanifest-sha256.txt", "diadem/leaves.blake3", "bag-info.txt"]
)
def test_a_lost_tag_file_is_written_again(pair: tuple[Lab, str], tag: str) -> None:
    lab, package = pair
    remove(lab.path(package, "second") / tag)
    assert not lab.node.scrub("second").ok
    assert lab.node.repair().ok
    assert diadem.verify(lab.path(package, "second"), level="full").package_id == package


def test_a_copy_that_is_gone_is_written_anew(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    folder = lab.path(package, "second")
    for one in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        one.chmod(0o755)
    shutil.rmtree(folder)
    (found,) = lab.node.scrub().damaged
    assert found.state == MISSING
    repaired = lab.node.repair()
    assert [copy.store for _, copy in repaired.copies] == ["second"]
    assert _states(lab, package) == {"main": PRESENT, "second": PRESENT}
    assert diadem.verify(folder, level="full").package_id == package


def test_the_last_copy_is_left_as_it_is_where_nothing_good_is_known(lab: Lab) -> None:
    package = lab.archived("s")
    path = lab.path(package, "main") / "data/scan 1.bin"
    damage(path)
    bytes_before = path.read_bytes()
    assert not lab.node.scrub().ok
    repaired = lab.node.repair()
    assert not repaired.ok
    assert [one.path for one in repaired.left] == ["data/scan 1.bin"]
    assert path.read_bytes() == bytes_before
    assert _states(lab, package) == {"main": SUSPECT}


def test_damage_at_different_places_of_both_copies_is_mended_from_each_other(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    damage(lab.path(package, "main") / "data/scan 0.bin", at=5)
    damage(lab.path(package, "second") / "data/scan 0.bin", at=(1 << 20) + 5)
    assert len(lab.node.scrub().damaged) == 2
    assert lab.node.repair().ok
    for store in ("main", "second"):
        assert diadem.verify(lab.path(package, store), level="full").ok


def test_parity_mends_a_copy_that_is_alone(lab: Lab) -> None:
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 1\n[parity]\nenabled = true\n", "utf-8")
    node = lab.reopened()
    package = str(node.archive(lab.session("s", size=2 << 20), now=True).package.id)
    assert [(one, store) for one, store in node.repair().parity] == [(package, "main")]
    path = lab.path(package, "main") / "data/scan 2.bin"
    good = path.read_bytes()
    damage(path, at=999)
    assert not node.scrub().ok
    assert [made.source for _, _, made in node.repair().mended] == ["parity"]
    assert path.read_bytes() == good
    node.close()


def test_a_dry_run_says_and_does_nothing(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    damage(lab.path(package, "main") / "data/scan 1.bin")
    lab.node.scrub()
    before = lab.node.context.ledger.size
    planned = lab.node.repair(dry_run=True).planned
    assert [(one["kind"], one["package"], one["store"]) for one in planned] == [("repair", package, "main")]
    assert lab.node.context.ledger.size == before
    assert _states(lab, package)["main"] == SUSPECT


def test_parts_of_a_scrub_cover_every_package_once(lab: Lab) -> None:
    packages = {lab.archived(f"s{number}", files=1) for number in range(6)}
    counts = [lab.node.scrub(part=f"{number}/3").proven for number in (1, 2, 3)]
    assert sum(counts) == len(packages)


def test_an_unexpected_file_is_reported_and_set_aside_only_on_request(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    folder = lab.path(package, "main") / "data"
    folder.chmod(0o755)
    (folder / "stranger.txt").write_text("hello")
    assert not lab.node.scrub("main").ok
    assert not lab.node.repair().ok
    assert (folder / "stranger.txt").exists()
    assert lab.node.repair(set_aside=True).ok
    assert not (folder / "stranger.txt").exists()
    assert list((lab.root / "main/.diadem/quarantine").rglob("stranger.txt"))


def test_a_drop_is_refused_where_it_would_leave_too_few_and_signed_where_not(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    with pytest.raises(Refused, match="not dropped"):
        lab.node.drop(package, "second", reason="space")
    lab.node.stores.add(str(lab.root / "third"), name="third", place="a third disk")
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 3\n", "utf-8")
    node = lab.reopened()
    assert [copy.store for _, copy in node.repair().copies] == ["third"]
    node.close()
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 2\n", "utf-8")
    node = lab.reopened()
    assert not node.drop(package, "second", reason="space", dry_run=True).done
    assert lab.path(package, "second").exists()
    dropped = node.drop(package, "second", reason="space")
    assert dropped.done
    assert {proof["store"] for proof in dropped.proofs} >= {"main", "third"}
    assert not Path(lab.second / "2026").exists() or not list((lab.second / "2026").iterdir())
    kinds = [entry.statement.kind for entry in node.context.ledger.of_subject(package.removeprefix("diadem:"))]
    assert kinds[-1] == "drop"
    node.close()


def test_a_damaged_other_copy_forbids_a_drop_and_is_marked(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    damage(lab.path(package, "second") / "data/scan 0.bin")
    with pytest.raises(Refused):
        lab.node.drop(package, "main", reason="space")
    assert _states(lab, package) == {"main": PRESENT, "second": SUSPECT}
    assert lab.path(package, "main").exists()


def test_nothing_is_deleted_before_its_retention_is_over(lab: Lab) -> None:
    package = lab.archived("s")
    with pytest.raises(Refused, match="not deleted"):
        lab.node.delete(package, reason="no use")
    (lab.node.path / "policy.toml").write_text("[retention]\nyears = 0\n", "utf-8")
    node = lab.reopened()
    folder = lab.path(package, "main")
    assert node.delete(package, reason="no use").done
    assert not folder.exists()
    assert node.search().total == 0
    assert node.reindex().packages == 0
    assert node.archive(lab.root / "s", now=True).what == "new"
    node.close()


def next_of(text: str) -> list[str]:
    """The command that a command names as the next step."""
    (line,) = [line for line in text.splitlines() if line.startswith("next ")]
    return re.split(r" {2,}", line)[1].split()[1:]


@pytest.mark.parametrize("place", ["", "data", "diadem"])
def test_what_a_file_browser_leaves_in_a_copy_goes_by_the_command_that_is_printed(lab: Lab, place: str) -> None:
    lab.add_second()
    folder = lab.path(lab.archived("s"), "second") / place
    lab.node.close()
    on = ("--node", lab.node.path)
    mode = folder.stat().st_mode
    folder.chmod(0o755)
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):
        (folder / name).write_bytes(b"of a file browser")
    folder.chmod(mode)
    scrubbed = said("scrub", "second", *on, code=1)
    assert "Thumbs.db" in scrubbed
    document = said_json("status", *on, code=1)
    (step,) = [step["command"] for step in document["steps"] if "repair" in step["command"]]
    (action,) = [one["command"] for one in document["actions"] if one["kind"] == "repair"]
    (finding,) = [one["command"] for one in document["findings"] if one["rule"] == "replica.suspect"]
    plain = said("repair", *on, code=1)  # files of others are moved only where a person says so
    assert "NOT MENDED" in plain
    assert step == finding == "diadem repair --set-aside"
    assert next_of(scrubbed) == next_of(plain) == ["repair", *map(str, on), "--set-aside"]
    assert action.endswith("--set-aside")
    assert "next" in said(*next_of(plain))
    assert said_json("status", *on)["ok"]
    assert sorted(path.name for path in (lab.second / ".diadem" / "quarantine").rglob("*") if path.is_file()) == [
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
    ]
    with lab.reopened() as node:
        require_agreement(node)


def at(lab: Lab, years: float = 0, *, days: float = 0) -> diadem.Node:
    """The node on a machine whose clock is ahead by so much."""
    by = timedelta(days=365.25 * years + days)
    return diadem.Node(open_context(lab.node.path, user=None, gather=tools_of_now(), clock=lambda: utc_now() + by))


def test_a_task_that_reads_each_night_what_is_due_never_finds_the_rule_red(lab: Lab) -> None:
    lab.archived("session")
    for day in range(75, 100):
        with at(lab, days=day - 0.001) as node:
            node.scrub(due=True)
        with at(lab, days=day + 0.2) as node:
            assert "scrub.interval" not in {finding.rule for finding in node.status().findings}, day


def test_a_clock_that_was_behind_ends_no_retention(lab: Lab) -> None:
    lab.node.close()
    with at(lab, -12) as node:
        package = str(node.archive(lab.session("s"), now=True).package.id)
    with lab.reopened() as node:
        with pytest.raises(Refused, match="the policy keeps it until"):
            node.delete(package, reason="too old")
        assert node.get(package).verify().ok


def test_a_clock_that_is_ahead_ends_no_retention_unless_somebody_says_that_it_is_right(lab: Lab) -> None:
    package = lab.archived("s")
    lab.node.close()
    with at(lab, 20) as node:
        with pytest.raises(Refused, match="the log says nothing between") as refused:
            node.delete(package, reason="too old")
        assert "--clock-is-right" in str(refused.value.next)
        node.scrub()  # it writes with the same clock, which makes it no better
        with pytest.raises(Refused, match="the log says nothing between"):
            node.delete(package, reason="too old")
    with lab.reopened() as node, pytest.raises(Refused, match="keeps it until"):
        node.delete(package, reason="too old", clock_is_right=True)
    with at(lab, 20) as node:
        assert node.delete(package, reason="too old", clock_is_right=True).done
    assert "deleted already" in said("delete", package, "--reason", "x", "--clock-is-right", "--node", lab.node.path)


def test_a_clock_that_was_ahead_once_keeps_no_later_package_for_longer(lab: Lab) -> None:
    lab.archived("s")
    lab.node.close()
    with at(lab, 20) as node:
        node.scrub()
    with lab.reopened() as node:
        package = str(node.archive(lab.session("later"), now=True).package.id)
        with pytest.raises(Refused, match="keeps it until"):
            node.delete(package, reason="too old", clock_is_right=True)
    with at(lab, 11) as node:
        assert node.delete(package, reason="too old", clock_is_right=True).done


def test_the_copies_of_the_policy_stay_when_the_retention_is_over(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("s")
    policy = lab.node.path / "policy.toml"
    policy.write_text(policy.read_text("utf-8").replace("years = 10", "years = 0"), "utf-8")
    on = ("--node", lab.node.path)
    assert "the policy wants 2" in said("drop", package, "--store", "main", "--reason", "space", *on, code=4)
    assert said_json("status", *on)["ok"]
    assert "dropped" in said("drop", package, "--store", "main", "--reason", "space", "--below-minimum", *on)


def test_while_the_retention_runs_nobody_goes_below_the_minimum(lab: Lab) -> None:
    lab.add_second()
    package, on = lab.archived("s"), ("--node", lab.node.path)
    text = said("drop", package, "--store", "main", "--reason", "space", "--below-minimum", *on, code=4)
    assert "the policy keeps the package until" in text


def test_a_clock_that_is_ahead_lets_nobody_go_below_the_minimum(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("s")
    lab.node.close()
    with at(lab, 20) as node:
        with pytest.raises(Refused, match="the log says nothing between") as refused:
            node.drop(package, "main", reason="space", below_minimum=True)
        assert "--clock-is-right" in str(refused.value.next)
        assert node.drop(package, "main", reason="space", below_minimum=True, clock_is_right=True).done


def test_a_deleted_package_is_said_to_be_that(lab: Lab) -> None:
    package, on = lab.archived("s"), ("--node", lab.node.path)
    policy = lab.node.path / "policy.toml"
    policy.write_text(policy.read_text("utf-8").replace("years = 10", "years = 0"), "utf-8")
    said("delete", package, "--reason", "a test", *on)
    text = said("verify", package, *on, code=3)
    assert "was deleted" in text
    (command,) = [line.partition(": diadem ")[2] for line in text.splitlines() if "diadem custody" in line]
    said(*command.split(), *on)
