"""A disk is unplugged in the middle of a run: nothing is called damaged, and nothing is written where it was."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tomlkit
from fsspec import AbstractFileSystem, filesystem

import diadem
from diadem.api.nodes import tools_of_now
from diadem.errors import DiademError, Unreachable
from diadem.model.ports import Progress
from diadem.model.replicas import PRESENT
from diadem.model.scan import PlannedSession
from diadem.node.context import utc_now
from diadem.node.node import Node
from diadem.node.open import open_context
from diadem.testing.faulty_store import Fault, FaultyStore
from tests.cli.inside import said, said_json
from tests.node.verbs.agreeing import copies, require_agreement
from tests.node.verbs.conftest import Lab, damage


def unplugging(lab: Lab, when: Callable[[Progress], bool]) -> Callable[[Progress], None]:
    """A listener that unplugs the second disk once; its mount point stays, an empty folder."""

    def tell(progress: Progress) -> None:
        if when(progress) and not (lab.root / "unplugged").exists():
            lab.second.rename(lab.root / "unplugged")
            lab.second.mkdir()

    return tell


def plug_in(lab: Lab) -> None:
    assert list(lab.second.iterdir()) == []  # nothing was written there
    lab.second.rmdir()
    (lab.root / "unplugged").rename(lab.second)


def all_present(lab: Lab) -> bool:
    return {
        replica.state for package in lab.node.context.catalogue.package_states() for replica in package.replicas
    } == {PRESENT}


def test_in_the_middle_of_a_scrub(lab: Lab) -> None:
    lab.add_second()
    for number in range(3):
        lab.archived(f"s{number}", files=2, size=10_000)
    size = lab.node.context.ledger.size
    scrubbed = lab.node.scrub(listener=unplugging(lab, lambda progress: progress.item.startswith("second")))
    assert scrubbed.damaged == []
    assert [store for store, _ in scrubbed.unread] == ["second"]
    assert not scrubbed.ok
    assert all_present(lab)
    kinds = [entry.statement.predicate.get("findings") for entry in lab.node.context.ledger.entries(size)]
    assert [findings for findings in kinds if findings] == []
    assert any("second" in finding.message for finding in lab.node.status().findings)
    plug_in(lab)
    assert lab.node.scrub().ok
    require_agreement(lab.node)


def test_in_the_middle_of_copying(lab: Lab) -> None:
    for number in range(3):
        lab.archived(f"s{number}", files=2, size=200_000)
    lab.add_second()
    repaired = lab.node.repair(listener=unplugging(lab, lambda progress: progress.stage == "copy"))
    assert not repaired.ok
    assert {debt.store for debt in repaired.debts} == {"second"}
    written = {package for package, copy in repaired.copies}
    plug_in(lab)
    assert {package for package, stores in copies(lab.node).items() if "second" in stores} == written
    assert lab.node.repair().ok
    assert list(copies(lab.node).values()) == [["main", "second"]] * 3
    require_agreement(lab.node)


def test_in_the_middle_of_an_archive(lab: Lab) -> None:
    lab.add_second()
    session = lab.session("s", files=20, size=20_000)
    archived = lab.node.archive(session, now=True, listener=unplugging(lab, lambda _: True))
    assert [copy.store for copy in archived.copies] == ["main"]
    assert [debt.store for debt in archived.debts] == ["second"]
    plug_in(lab)
    assert lab.node.archive(session, now=True).what == "already"
    assert copies(lab.node) == {str(archived.package.id): ["main", "second"]}
    require_agreement(lab.node)


def test_in_the_middle_of_mending(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("s", files=1, size=3 << 20)
    damage(lab.path(package, "second") / "data/scan 0.bin")
    assert len(lab.node.scrub("second").damaged) == 1
    repaired = lab.node.repair(listener=unplugging(lab, lambda _: True))
    assert not repaired.ok
    assert "second" in repaired.left[0].store
    assert repaired.copies == []
    plug_in(lab)
    assert lab.node.repair().ok
    assert all_present(lab)
    require_agreement(lab.node)


def test_the_only_store_is_unplugged(lab: Lab) -> None:
    with diadem.open_node(lab.node.path) as node:
        (lab.root / "main").rename(lab.root / "unplugged")
        (lab.root / "main").mkdir()
        with pytest.raises(Unreachable, match="no store can take the package"):
            node.archive(lab.session("s"), now=True)
        assert os.listdir(lab.root / "main") == []
        (lab.root / "main").rmdir()
        (lab.root / "unplugged").rename(lab.root / "main")
        assert node.archive(Path(lab.root / "s"), now=True).what == "new"


def test_a_disk_that_is_back_is_seen_by_the_next_call(lab: Lab) -> None:
    lab.add_second()
    lab.archived("s")
    lab.second.rename(lab.root / "unplugged")
    assert "second" in str(lab.node.status().to_dict())
    assert not {state.name: state.reachable for state in lab.node.context.stores.states()}["second"]
    (lab.root / "unplugged").rename(lab.second)
    assert {state.name: state.reachable for state in lab.node.context.stores.states()}["second"]
    assert lab.node.repair().ok


def test_a_plan_goes_on_in_a_store_that_was_missing_for_a_moment(lab: Lab) -> None:
    folders = [lab.session(name, files=1) for name in "abcd"]
    sessions = [PlannedSession(folder.name, True, folder.name, "", str(folder)) for folder in folders]
    results = lab.node.archive_all(sessions, now=True)
    assert next(results).state == "new"
    (lab.root / "main").rename(lab.root / "unplugged")
    assert next(results).state == "failed"
    (lab.root / "unplugged").rename(lab.root / "main")
    assert [result.state for result in results] == ["new", "new"]


def put_faulty(lab: Lab, name: str, *faults: Fault) -> FaultyStore:
    """A store of the node, watched, and failing as it is told to."""
    store = FaultyStore(lab.node.context.stores.open(name), faults)
    lab.node.context.stores.put(name, store)
    return store


@pytest.mark.parametrize("operation", ["check", "get", "add", "*"])
def test_a_store_that_fails_once_is_asked_again(lab: Lab, operation: str) -> None:
    lab.add_second()
    second = put_faulty(lab, "second")
    second.fail(Fault(operation, "unreachable"))
    archived = lab.node.archive(lab.session("a"), now=True)
    assert len(second.happened) == 1
    second.heal()
    if [debt.store for debt in archived.debts] == ["second"]:
        assert lab.node.archive(lab.root / "a", now=True).what == "already"
    assert copies(lab.node) == {str(archived.package.id): ["main", "second"]}
    assert not lab.node.archive(lab.session("b"), now=True).debts


@pytest.mark.parametrize("operation", ["check", "draft", "*"])
def test_of_many_sessions_only_those_are_lost_whose_store_did_not_answer(lab: Lab, operation: str) -> None:
    folders = [lab.session(name, files=1) for name in "abcd"]
    sessions = [PlannedSession(folder.name, True, folder.name, "", str(folder)) for folder in folders]
    results = lab.node.archive_all(sessions, now=True)
    assert next(results).state == "new"
    main = put_faulty(lab, "main", Fault(operation, "unreachable"))
    states = [result.state for result in results]
    assert len(main.happened) == 1
    assert states in (["failed", "new", "new"], ["new"] * 3)


class TimesOutOnce(FaultyStore):
    """A store that lets the first who asks wait, and then says nothing."""

    timed_out = False

    def check(self) -> None:
        if not self.timed_out:
            self.timed_out = True
            time.sleep(0.6)
            raise Unreachable("the store did not answer in time", where=self.url, next="Try again.")
        super().check()


def test_after_one_time_out_the_next_sessions_are_archived(lab: Lab) -> None:
    folders = [lab.session(name, files=1) for name in "abc"]
    sessions = [PlannedSession(folder.name, True, folder.name, "", str(folder)) for folder in folders]
    main = TimesOutOnce(lab.node.context.stores.open("main"))
    lab.node.context.stores.put("main", main)
    time.sleep(0.6)  # it is looked at again
    states = [result.state for result in lab.node.archive_all(sessions, now=True)]
    assert main.timed_out
    assert states in (["failed", "new", "new"], ["new"] * 3)


def reads(*stores: FaultyStore) -> int:
    """How often it was read which store it is."""
    return sum(call == ("get", "store.json") for store in stores for call in store.calls)


def test_which_store_it_is_is_not_read_again_and_again(lab: Lab) -> None:
    lab.add_second()
    lab.archived("first")
    stores = put_faulty(lab, "main"), put_faulty(lab, "second")
    package = lab.archived("s")
    assert reads(*stores) <= 3
    damage(lab.path(package, "second") / "data/scan 0.bin")
    lab.node.scrub("second")
    before = reads(*stores)
    assert lab.node.repair().ok
    assert reads(*stores) - before <= 3


def test_which_store_a_server_holds_is_not_read_again_and_again(lab: Lab) -> None:
    lab.node.stores.add("memory://read-once", name="cloud", place="cloud")
    stores = put_faulty(lab, "main"), put_faulty(lab, "cloud")
    for name in "ab":
        lab.archived(name)
    assert list(copies(lab.node).values()) == [["cloud", "main"]] * 2
    assert reads(*stores) <= 3


CLOUD = "/exchanged"


@pytest.fixture
def cloud(lab: Lab) -> Iterator[AbstractFileSystem]:
    """What lies on a server that is a store of the lab, and was seen a moment ago."""
    lab.node.stores.add(f"memory:/{CLOUD}", name="cloud", place="cloud")
    lab.archived("before")
    server = filesystem("memory")
    yield server
    server.rm(CLOUD, recursive=True)


def test_nothing_is_written_into_another_store_that_a_server_has_now(lab: Lab, cloud: AbstractFileSystem) -> None:
    file = f"{CLOUD}/.diadem/store.json"
    other = cloud.cat(file).replace(lab.node.id.encode(), b"f" * 64)
    mine = lab.node.context.settings.store("cloud").id.encode()
    cloud.rm(CLOUD, recursive=True)
    cloud.pipe(file, other.replace(mine, b"11111111-1111-4111-8111-111111111111"))
    done = lab.node.archive(lab.session("s"), now=True)
    assert "cloud" not in [copy.store for copy in done.copies]
    assert "there is another store" in next(owed.reason for owed in done.debts if owed.store == "cloud")
    assert not [path for path in cloud.find(CLOUD) if path.endswith(".bin")]


def test_a_server_whose_disk_is_unmounted_has_lost_nothing(lab: Lab, cloud: AbstractFileSystem) -> None:
    packages = [lab.archived(name) for name in ("s", "t")]
    gone = False

    def unmount(_: Progress) -> None:
        nonlocal gone
        if not gone:
            gone = True
            cloud.rm(CLOUD, recursive=True)

    done = lab.node.scrub("cloud", listener=unmount)
    cloud.makedirs(CLOUD, exist_ok=True)
    assert gone
    assert done.damaged == []
    for package in packages:
        states = {copy.store: copy.state for copy in lab.node.context.catalogue.replicas(package)}
        assert states["cloud"] == PRESENT


def test_another_disk_in_the_place_of_a_store_is_seen_at_once(lab: Lab) -> None:
    lab.add_second()
    lab.archived("s")
    lab.second.rename(lab.root / "unplugged")
    with diadem.Node.create(lab.root / "n2", name="n2", user="u", store=str(lab.second)):
        before = sorted(lab.second.rglob("*"))
        archived = lab.node.archive(lab.session("t"), now=True)
        assert [debt.store for debt in archived.debts] == ["second"]
        assert "there is another store" in archived.debts[0].reason
        assert sorted(lab.second.rglob("*")) == before


def test_what_only_an_unmounted_server_has_is_not_written_off(tmp_path: Path) -> None:
    """Its package is not gone: nobody knows where the server's disk is just now."""
    place = "/only"
    with diadem.Node.create(tmp_path / "node", name="lab", user="alice", store=f"memory:/{place}") as node:
        (tmp_path / "s").mkdir()
        (tmp_path / "s" / "scan.bin").write_bytes(bytes(1000))
        package = str(node.archive(tmp_path / "s", now=True).package.id)
        filesystem("memory").rm(place, recursive=True)
        with pytest.raises(DiademError, match="there is no store where 'main' should be"):
            node.delete(package, reason="gone", lost=True)
        assert not node.context.catalogue.package_state(package).tombstoned


def test_a_store_that_is_read_elsewhere_can_be_read_as_another_user(lab: Lab) -> None:
    lab.archived("s")
    lab.node.close()
    with diadem.open_node(lab.root / "main") as attached:
        assert attached.context.as_user("bob").user == "bob"
        assert not attached.context.as_user("bob").writable


def marks(lab: Lab, code: int = 0) -> dict[str, str]:
    """How each rule stands."""
    return {line["rule"]: line["mark"] for line in said_json("status", "--node", lab.node.path, code=code)["rules"]}


def test_with_every_store_moved_away_status_is_red_and_says_so(lab: Lab) -> None:
    lab.add_second()
    lab.archived("s")
    lab.node.close()
    assert "Every rule holds" in said("status", "--node", lab.node.path)
    (lab.root / "main").rename(lab.root / "drawer")
    shown = said("status", "--node", lab.node.path)  # one disk is out for an hour: no alarm, and no copy is made up
    assert "1 copy cannot be seen now" in " ".join(shown.split())
    assert marks(lab)["copies.minimum"] == "info"
    assert "No rule is broken" in shown
    lab.second.rename(lab.root / "drawer too")
    shown = said("status", "--node", lab.node.path, code=1)
    assert "Every rule holds" not in shown
    assert "2 of them cannot be seen now" in shown
    assert "no store answers that holds a copy" in " ".join(shown.split())
    assert "no store of the node answers" in " ".join(shown.split())
    document = said_json("status", "--node", lab.node.path, code=1)
    assert (document["ok"], document["totals"]["unseen"]) == (False, 2)
    assert marks(lab, code=1)["store.space"] == "info"
    assert "WRONG" in said("doctor", "--node", lab.node.path, code=1)


def broken(lab: Lab, at: datetime.datetime) -> dict[str, list[str]]:
    """What `status` calls broken and `doctor` wrong at a moment, about the stores."""
    node = Node(open_context(lab.node.path, user=None, gather=tools_of_now(), clock=lambda: at))
    try:
        status, doctor = node.status(), node.doctor()
    finally:
        node.close()
    return {
        "status": [line.rule for line in status.rules if line.mark == "broken" and line.rule.startswith("store.")],
        "doctor": [check["name"] for check in doctor["checks"] if check["verdict"] == "wrong"],
    }


def test_a_store_that_nobody_has_seen_for_a_day_is_an_alarm(lab: Lab) -> None:
    lab.add_second()
    lab.archived("s")
    lab.node.close()
    now, hour = utc_now(), datetime.timedelta(hours=1)
    assert broken(lab, now) == {"status": [], "doctor": []}
    lab.second.rename(lab.root / "unplugged")
    assert broken(lab, now + 23 * hour) == {"status": [], "doctor": []}
    assert broken(lab, now + 25 * hour) == {"status": ["store.unreachable"], "doctor": ["stores"]}
    (lab.node.path / "answered.json").unlink()  # nobody knows when it answered: the time begins anew, and ends again
    assert broken(lab, now + 26 * hour) == {"status": [], "doctor": []}
    assert broken(lab, now + 51 * hour) == {"status": ["store.unreachable"], "doctor": ["stores"]}
    (lab.root / "unplugged").rename(lab.second)
    assert broken(lab, now + 52 * hour) == {"status": [], "doctor": []}


def test_a_clock_that_was_ahead_once_does_not_silence_the_alarm(lab: Lab) -> None:
    lab.add_second()
    lab.node.close()
    now, day = utc_now(), datetime.timedelta(days=1)
    broken(lab, now + 7000 * day)
    lab.second.rename(lab.root / "unplugged")
    assert broken(lab, now)["status"] == []
    assert broken(lab, now + 2 * day)["status"] == ["store.unreachable"]


def test_the_policy_says_how_long_a_store_may_be_away(lab: Lab) -> None:
    lab.add_second()
    lab.node.close()
    policy = lab.node.path / "policy.toml"
    policy.write_text(policy.read_text().replace('unseen = "24 h"', 'unseen = "10 days"'))
    now, day = utc_now(), datetime.timedelta(days=1)
    assert broken(lab, now)["status"] == []
    lab.second.rename(lab.root / "unplugged")
    assert broken(lab, now + 9 * day)["status"] == []
    assert broken(lab, now + 11 * day)["status"] == ["store.unreachable"]


def test_a_node_whose_stores_take_nothing_is_never_green(lab: Lab) -> None:
    lab.archived("s")
    lab.node.close()
    settings = lab.node.path / "node.toml"
    before = settings.read_text()
    settings.write_text(before.replace("retired = false", "retired = true"))
    assert "every store of the node is retired" in said("status", "--node", lab.node.path, code=1)
    without = tomlkit.parse(before)
    del without["stores"]
    settings.write_text(tomlkit.dumps(without))
    shown = said("status", "--node", lab.node.path, code=1)
    assert "the node has no store" in shown
    assert "Every rule holds" not in shown
    assert "WRONG" in said("doctor", "--node", lab.node.path, code=1)


def test_archiving_again_owes_nothing_to_a_store_that_had_its_copy(lab: Lab) -> None:
    lab.add_second()
    lab.archived("s")
    lab.node.close()
    (lab.root / "main").rename(lab.root / "unplugged")
    text = said("archive", lab.root / "s", "--now", "--node", lab.node.path)
    assert "OWED" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("copy") and " main " in line]
    assert "cannot be seen now" in line
    assert "was there" not in line
    (other,) = [line for line in text.splitlines() if line.startswith("copy") and " second " in line]
    assert "was there" in other
    text = said("archive", lab.session("new"), "--now", "--node", lab.node.path)
    assert "OWED             main" in text


def test_a_store_that_is_taken_out_in_the_middle_is_passed_over(lab: Lab) -> None:
    lab.add_second()
    walk = lab.node.context.stores.opened()
    assert next(walk)[0].name == "main"
    lab.node.stores.rm("second")
    assert list(walk) == []
    assert [state.name for state in lab.node.stores] == ["main"]


def test_a_store_of_before_with_the_name_of_adopted_folders_keeps_its_id_in_statements(lab: Lab) -> None:
    lab.add_second()
    lab.node.close()
    settings = lab.node.path / "node.toml"
    settings.write_text(settings.read_text("utf-8").replace('name = "second"', 'name = "in-place"'), "utf-8")
    with lab.reopened() as node:
        package = node.archive(lab.session("session"), now=True).package.id
        stated = node.context.ledger.of_subject(package.removeprefix("diadem:"))
        ids = [one.statement.predicate["store_id"] for one in stated if one.statement.kind == "replicate"]
        assert ids == [node.context.settings.store("in-place").id]
