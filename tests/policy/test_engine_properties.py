"""What holds of every archive, whatever lies where."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.model.policy import Copies, Policy
from diadem.model.replicas import DROPPED, PRESENT, PROOFS, PackageState, ReplicaState, StoreState
from diadem.model.report import Severity
from diadem.policy.case import ArchiveState, NodeState
from diadem.policy.engine import copy_actions, is_well_kept, stores_wanting
from diadem.policy.status import Action, Status
from diadem.policy.tally import counted
from tests.policy.archives import NOW, archives, judged, packages, with_copy

Archive = tuple[Policy, list[PackageState], list[StoreState]]
MANY = settings(max_examples=25, deadline=None)


def counted_places(policy: Policy, package: PackageState, stores: list[StoreState]) -> set[str | None]:
    """The places of a package's good copies, as slowly and plainly as the words of the rule."""
    by_name = {store.name: store for store in stores}
    places = set()
    for copy in package.replicas:
        proven = copy.state == PRESENT and copy.proven_at is not None and copy.proven_level in PROOFS
        if not proven or (copy.adopted and not policy.copies.adopted_counts):
            continue
        if copy.adopted:
            store = by_name.get(copy.store)
            places.add(copy.place or (store.place if store else None))
        elif copy.store in by_name:
            places.add(by_name[copy.store].place)
    return places


@MANY
@given(archives())
def test_the_copies_rule_counts_what_its_words_say(archive: Archive) -> None:
    policy, its_packages, stores = archive
    short = {
        package.id
        for package in its_packages
        if not package.tombstoned and len(counted_places(policy, package, stores)) < policy.copies.minimum
    }
    status = judged(its_packages, stores, policy)
    found = {name for finding in status.findings if finding.rule == "copies.minimum" for name in finding.packages}
    assert found == short
    assert status.holds["copies.minimum"] == (not short)


@MANY
@given(archives(), st.randoms(use_true_random=False))
def test_one_more_proven_copy_never_breaks_the_copies_rules(archive: Archive, random: Random) -> None:
    policy, its_packages, stores = archive
    if not its_packages:
        return
    before = judged(its_packages, stores, policy)
    index, store = random.randrange(len(its_packages)), random.choice(stores)
    held = {copy.store for copy in its_packages[index].replicas if copy.state != DROPPED}
    if store.name in held:
        return
    proven = ReplicaState(store.name, "2026/x", proven_at=NOW, proven_level="written")
    more = [*its_packages]
    more[index] = with_copy(its_packages[index], proven)
    after = judged(more, stores, policy)
    for rule in ("copies.minimum", "copies.kinds", "replica.unproven", "replica.suspect", "replica.missing"):
        assert after.holds[rule] >= before.holds[rule]
        assert broken(after, rule) <= broken(before, rule)


@MANY
@given(archives())
def test_one_package_is_judged_alone_as_in_its_archive(archive: Archive) -> None:
    policy, its_packages, stores = archive
    for package in its_packages:
        case = counted(policy, ArchiveState([package], stores, NodeState("")), NOW)
        alone = judged([package], stores, policy).actions
        wanted = [action for action in alone if action.kind in ("repair", "replicate", "parity")]
        assert list(copy_actions(case)) == wanted
        goals = [action.store for action in wanted if action.kind == "replicate"]
        wanting, too_small = stores_wanting(policy, stores, package, NOW)
        assert wanting[: len(goals)] == goals
        locked = {store.name for store in stores if store.reachable and store.read_only}
        owed = wanting[len(goals) :]
        assert set(owed) <= locked
        able = [replace(store, read_only=store.retired) for store in stores]
        best = [one.store for one in judged([package], able, policy).actions if one.kind == "replicate"]
        assert set(owed) <= set(best)
        assert len(wanting) <= max(len(best), len(goals)), "a copy that is owed is one that the policy wants"
        assert set(too_small) <= {store.name for store in stores if store.reachable and not store.read_only}
        asked = ("copies.minimum", "copies.kinds", "replica.")
        rules = [finding.rule for finding in judged([package], stores, policy).findings]
        assert is_well_kept(case) == (not any(rule.startswith(asked) for rule in rules))


def broken(status: Status, rule: str) -> set[str]:
    """Packages that break a rule."""
    return {
        name
        for finding in status.findings
        if finding.rule == rule and finding.severity is Severity.ERROR
        for name in finding.packages
    }


@MANY
@given(archives())
def test_who_wants_fewer_copies_finds_no_more_faults(archive: Archive) -> None:
    policy, its_packages, stores = archive
    if policy.copies.minimum == 1:
        return
    fewer = replace(policy, copies=replace(policy.copies, minimum=policy.copies.minimum - 1))
    assert broken(judged(its_packages, stores, fewer), "copies.minimum") <= broken(
        judged(its_packages, stores, policy), "copies.minimum"
    )


@MANY
@given(archives())
def test_a_status_is_of_one_piece(archive: Archive) -> None:
    policy, its_packages, stores = archive
    status = judged(its_packages, stores, policy)
    errors = [finding for finding in status.findings if finding.severity is Severity.ERROR]
    assert status.ok == (not errors)
    assert {rule for rule, holds in status.holds.items() if not holds} == {finding.rule for finding in errors}
    assert all(finding.command.startswith("diadem ") for finding in errors)
    about_packages = [finding for finding in errors if not finding.rule.startswith("store.")]
    assert all(finding.count >= len(finding.packages) > 0 for finding in about_packages)
    assert all(step.command.startswith("diadem ") and step.reason for step in status.steps)
    assert len({step.command for step in status.steps}) == len(status.steps)
    assert status.to_dict()["ok"] == status.ok
    if errors:
        assert status.steps


@MANY
@given(archives())
def test_a_broken_rule_never_comes_with_good_words(archive: Archive) -> None:
    """What was not proven is never called good: a package without a proven copy breaks a rule."""
    policy, its_packages, stores = archive
    status = judged(its_packages, stores, policy)
    for package in its_packages:
        if not package.tombstoned and not any(copy.proven for copy in package.replicas):
            assert package.id in broken(status, "copies.minimum")
            assert not status.ok


@MANY
@given(archives())
def test_an_action_can_be_done(archive: Archive) -> None:
    policy, its_packages, stores = archive
    by_name = {store.name: store for store in stores}
    by_id = {package.id: package for package in its_packages}
    actions = judged(its_packages, stores, policy).actions
    targets = [(action.package, action.store) for action in actions if action.kind in ("replicate", "repair")]
    assert len(set(targets)) == len(targets)
    for action in actions:
        if action.kind in ("replicate", "repair"):
            store, package = by_name[action.store], by_id[action.package]
            copies = {copy.store: copy for copy in package.replicas if copy.state != DROPPED}
            assert store.reachable
            assert not store.read_only
            assert not package.tombstoned
            assert (store.name in copies) == (action.kind == "repair")
            assert action.kind == "repair" or copies[action.source].state == PRESENT
            assert action.source != action.store
        elif action.kind == "scrub":
            assert by_name[action.store].reachable


@MANY
@given(archives())
def test_what_a_finding_names_can_be_run(archive: Archive) -> None:
    """A store that does not answer is neither scrubbed nor repaired; it is connected first."""
    policy, its_packages, stores = archive
    status = judged(its_packages, stores, policy)
    away = {store.name for store in stores if not store.reachable}
    mended = [action.kind for action in status.actions if action.kind in ("repair", "replicate", "parity")]
    for finding in status.findings:
        assert finding.command not in {f"diadem scrub {name} --due" for name in away}
        assert mended or not finding.command.startswith("diadem repair")


@MANY
@given(archives())
def test_no_more_copies_are_made_than_the_policy_wants(archive: Archive) -> None:
    policy, its_packages, stores = archive
    actions = judged(its_packages, stores, policy).actions
    for package in its_packages:
        made = [action for action in actions if action.kind == "replicate" and action.package == package.id]
        assert len(made) <= policy.copies.minimum + sum(policy.copies.kinds.values())
        if package.id not in {*broken(judged([package], stores, policy), "copies.minimum")}:
            wanted = broken(judged([package], stores, policy), "copies.kinds")
            assert not made or wanted


def done(archive: Archive, actions: tuple[Action, ...] | list[Action]) -> list[PackageState]:
    """The packages after every action was done, and nothing went wrong."""
    its_packages = {package.id: package for package in archive[1]}
    known = {store.name for store in archive[2]}
    for action in actions:
        if action.kind == "replicate" or (action.kind == "repair" and action.source):
            new = ReplicaState(action.store, "2026/x", proven_at=NOW, proven_level="written")
            its_packages[action.package] = with_copy(its_packages[action.package], new)
    for action in actions:
        for name, package in its_packages.items():
            copies = tuple(
                replace(copy, proven_at=NOW, proven_level="leaves")
                if copy.state == PRESENT
                and (
                    (action.kind == "scrub" and copy.store == action.store)
                    or (action.kind == "rescan" and copy.adopted and copy.store not in known)
                )
                else replace(copy, parity=True)
                if action.kind == "parity" and (name, copy.store) == (action.package, action.store)
                else copy
                for copy in package.replicas
            )
            its_packages[name] = replace(package, replicas=copies)
    return list(its_packages.values())


@MANY
@given(archives())
def test_who_does_what_is_said_comes_to_an_end_and_is_told_why_it_is_not_green(archive: Archive) -> None:
    policy, its_packages, stores = archive
    stores = [replace(store, free=None) for store in stores]
    status = judged(its_packages, stores, policy)
    for _ in range(4):
        its_packages = done((policy, its_packages, stores), list(status.actions))
        status = judged(its_packages, stores, policy)
    left = [action for action in status.actions if action.kind in ("replicate", "scrub", "parity")]
    assert left == []
    assert not any(action.kind == "repair" and action.source for action in status.actions)
    if not status.ok:
        reasons = {action.kind for action in status.actions} | {step.command for step in status.steps}
        ways = {"add-store", "connect-store", "unlock-store", "repair", "rescan", "write-off", "diadem store ls"}
        assert reasons & ways


@MANY
@given(packages(["a", "b"]))
def test_with_stores_enough_and_a_good_copy_of_each_all_ends_green(its_packages: list[PackageState]) -> None:
    """What `archive`, `store add` and `repair` promise to who starts from nothing."""
    stores = [StoreState(name, "disk", f"own-{name}", f"/{name}") for name in ("a", "b", "c", "d", "new")]
    sure = [
        with_copy(package, ReplicaState("new", "2026/x", proven_at=NOW, proven_level="written"))
        for package in its_packages
    ]
    sure = [replace(package, replicas=tuple(c for c in package.replicas if not c.adopted)) for package in sure]
    policy = Policy(copies=Copies(minimum=3))
    status = judged(sure, stores, policy)
    for _ in range(3):
        sure = done((policy, sure, stores), list(status.actions))
        status = judged(sure, stores, policy)
    assert status.ok


@MANY
@given(archives(), st.randoms(use_true_random=False))
def test_the_order_of_packages_changes_no_figure(archive: Archive, random: Random) -> None:
    policy, its_packages, stores = archive
    stores = [replace(store, free=None) for store in stores]
    shuffled = [*its_packages]
    random.shuffle(shuffled)
    one, other = judged(its_packages, stores, policy), judged(shuffled, stores, policy)
    assert one.totals == other.totals
    assert one.stores == other.stores
    assert one.rules == other.rules
    assert one.steps == other.steps
    assert {*one.actions} == {*other.actions}


@MANY
@given(archives())
def test_a_deleted_package_changes_nothing_but_its_count(archive: Archive) -> None:
    policy, its_packages, stores = archive
    living = [package for package in its_packages if not package.tombstoned]
    one, other = judged(its_packages, stores, policy), judged(living, stores, policy)
    assert replace(one.totals, tombstoned=0) == other.totals
    assert one.findings == other.findings
    assert one.actions == other.actions
