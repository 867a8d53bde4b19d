"""Who may what, decided from facts alone: against a model that only counts, and each refusal in words."""

from __future__ import annotations

import datetime
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.model.access import Asker, Decision, Grant, Revocation, Right
from diadem.model.ownership import Ownership, Succession
from diadem.policy.access import GrantFacts, PackageFacts, decide, holds

HERE, THERE = "a" * 64, "b" * 64
ONE, OTHER = "diadem:" + "1" * 64, "diadem:" + "2" * 64
ALICE, BOB, MARIE = "alice@here", "bob@here", "marie@nmi"
NOW = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
LEFT = {ALICE: Succession(BOB, 100)}
#: Cases are made from a seed, forty at once: drawn one by one they would take half a minute.
SEEDS = settings(max_examples=25, derandomize=True, deadline=None)


def some_grant(chance: random.Random) -> GrantFacts:
    pick = chance.choice
    scope = pick(["package", "project", "sample"])
    one = Grant(
        id=f"{chance.getrandbits(250):064x}",
        by=pick([ALICE, ALICE, BOB]),
        to=pick([MARIE, MARIE, "*@nmi", BOB, "*@here", "eve@nmi"]),
        recipient=pick([HERE, THERE, THERE, ""]),
        rights=frozenset(chance.sample(list(Right), chance.randint(1, 3))),
        scope=scope,
        subjects=(pick([ONE, ONE, OTHER]),),
        not_before=pick([None, None, NOW - DAY, NOW, NOW + DAY]),
        expires=pick([None, None, NOW - DAY, NOW, NOW + DAY]),
        require=pick([frozenset(), frozenset({"direct-only"})]),
        place=chance.randint(1, 200),
    )
    taken = pick([None, None, None, Revocation("f" * 64, one.id, one.by)])
    return GrantFacts(one, taken, frozenset({(pick("xyz"),)} if scope != "package" else ()))


def some_names(chance: random.Random) -> dict[str, set[tuple[str, ...]]]:
    return {scope: {name for name in (("x",), ("y",)) if chance.random() < 0.5} for scope in ("project", "sample")}


def some_package(chance: random.Random) -> PackageFacts:
    return PackageFacts(
        package=ONE,
        node=HERE,
        known=chance.random() < 0.9,
        deleted=chance.random() < 0.1,
        ownership=Ownership.of(chance.choice([ALICE, ALICE, BOB, ""]), chance.choice([{}, LEFT])),
        whole=some_names(chance),
        partly=some_names(chance),
        default=chance.choice(["private", "private", "node"]),
        grants=tuple(some_grant(chance) for _ in range(chance.randint(0, 5))),
    )


def some_asker(chance: random.Random) -> Asker:
    kind = chance.choice(["user", "user", "peer", "peer", "peer", "pending", "retired"])
    home = kind in ("user", "retired") if chance.random() < 0.9 else chance.random() < 0.5
    return Asker(HERE if home else THERE, chance.choice([ALICE, BOB, MARIE, MARIE, "", "eve@nmi"]), kind=kind)


def expected(asker: Asker, right: Right, facts: PackageFacts) -> bool:
    """The same by brute force: every way that allows something, none of them in words."""
    if not facts.known or facts.deleted:
        return False
    local = asker.kind == "user" and asker.node == facts.node
    foreign = asker.kind == "peer" and asker.node != facts.node
    owners = [holder.name for holder in facts.ownership.holders]
    ways = [
        local and owners[-1:] == [asker.address],
        local and facts.default == "node" and right is not Right.ASSESS,
    ]
    for one in facts.grants:
        given_ = one.grant
        since = 0 if owners[:1] == [given_.by] else 100
        until = 100 if owners[:1] == [given_.by] and len(owners) > 1 else 10**9
        ways.append(
            (local or foreign)
            and given_.recipient == asker.node
            and given_.to.split("@")[0] in ("*", asker.address.split("@")[0])
            and given_.by in owners
            and since <= given_.place < until
            and (facts.package in given_.subjects if given_.scope == "package"
                 else bool(one.names & set(facts.whole.get(given_.scope, ()))))
            and (right in given_.rights or right is Right.LIST)
            and (given_.not_before or NOW) <= NOW
            and (given_.expires or NOW + DAY) > NOW
            and one.revocation is None
        )  # fmt: skip
    return any(ways)


@SEEDS
@given(st.integers(0, 1 << 32))
def test_the_engine_decides_as_a_model_that_only_counts(seed: int) -> None:
    for number in range(40):
        chance = random.Random(seed * 40 + number)
        asker, right, facts = some_asker(chance), chance.choice(list(Right)), some_package(chance)
        compare(asker, right, facts)


def compare(asker: Asker, right: Right, facts: PackageFacts) -> None:
    decision = decide(asker, right, facts, NOW)
    assert decision.allowed == expected(asker, right, facts)
    assert decision.reasons
    assert all(reason.endswith(".") for reason in decision.reasons)
    if not decision.allowed:
        assert not decision.requirements
    if decision.allowed and decision.grant is not None:
        assert decision.requirements == tuple(sorted(decision.grant.require))
        assert decision.grant.id[:12] in " ".join(decision.reasons)


@SEEDS
@given(st.integers(0, 1 << 32))
def test_what_is_in_force_is_all_that_a_search_needs_to_know(seed: int) -> None:
    """`holds` and `decide` agree on a package that belongs to everything and whose owner is who grants."""
    chance = random.Random(seed)
    for _ in range(40):
        asker, right, one = some_asker(chance), chance.choice(list(Right)), some_grant(chance)
        inside = PackageFacts(
            package=ONE,
            node=HERE,
            known=True,
            ownership=Ownership.of(one.grant.by),
            whole={one.grant.scope: one.names},
            grants=(replace(one, grant=replace(one.grant, subjects=(ONE,))),),
        )
        if asker.address != one.grant.by:
            assert holds(one, asker, right, HERE, NOW) == decide(asker, right, inside, NOW).allowed


def grant(**other: object) -> Grant:
    made = Grant("c" * 64, ALICE, MARIE, THERE, frozenset({Right.READ}), "package", (ONE,), place=5)
    return replace(made, **other)  # type: ignore[arg-type]


def asked(one: Grant, taken: Revocation | None = None, *, right: Right = Right.READ, **other: object) -> Decision:
    names = frozenset([("zno",)])
    facts = PackageFacts(ONE, HERE, True, ownership=Ownership.of(ALICE, LEFT), grants=(GrantFacts(one, taken, names),))
    return decide(Asker(THERE, MARIE), right, replace(facts, **other), NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "taken", "words"),
    [
        (grant(to="*@nmi", expires=NOW - DAY), None, r"A grant to \*@nmi exists \[grant cccc.*ended on 2026-11-26"),
        (grant(expires=NOW), None, "ended on 2026-11-27 12:00 UTC"),
        (grant(not_before=NOW + DAY), None, "begins on 2026-11-28"),
        (grant(), Revocation("d" * 64, "c" * 64, BOB, time=NOW), r"revoked by bob@here on 2026-11-27.*\[revocation d"),
        (
            grant(recipient="e" * 64),
            None,
            "is for the node eeeeeeeeeeee…, and marie@nmi belongs to the node bbbbbbbbbbbb…",
        ),
        (grant(recipient=""), None, "names no node by its key"),
        (grant(by=BOB), None, "by bob@here, who did not own the package then"),
        (grant(place=100), None, "by alice@here, who did not own the package then"),
        (grant(rights=frozenset({Right.LIST})), None, "does not say that they may read it"),
        (grant(to="eve@nmi"), None, "is not for marie@nmi"),
        (grant(scope="project", label="ZnO"), None, "the project ZnO, to which the package does not belong"),
    ],
)
def test_a_refusal_names_the_grant_that_came_closest(one: Grant, taken: Revocation | None, words: str) -> None:
    decision = asked(one, taken)
    assert not decision.allowed
    assert decision.grant == one
    assert "alice@here, then of bob@here" in decision.reasons[0]
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(decision.reasons[-1])


def test_only_some_datasets_of_a_project_open_nothing() -> None:
    one = grant(scope="project", label="ZnO")
    decision = asked(one, partly={"project": {("zno",)}})
    assert not decision.allowed
    assert "only some datasets" in decision.reasons[-1]
    assert asked(one, whole={"project": {("zno",)}}).allowed


def test_grants_of_others_altogether_are_not_named() -> None:
    assert asked(grant(to="eve@else", recipient="e" * 64)).grant is None


def test_of_two_grants_the_one_that_demands_less_decides() -> None:
    strict, free = grant(id="c" * 64, require=frozenset({"direct-only"})), grant(id="d" * 64, place=6)
    facts = PackageFacts(ONE, HERE, True, ownership=Ownership.of(ALICE), grants=(GrantFacts(strict),))
    asker = Asker(THERE, MARIE)
    assert decide(asker, Right.READ, facts, NOW).requirements == ("direct-only",)
    both = replace(facts, grants=(GrantFacts(strict), GrantFacts(free)))
    assert decide(asker, Right.READ, both, NOW).grant == free


def test_a_ring_of_successors_ends() -> None:
    ring = {ALICE: Succession(BOB, 1), BOB: Succession(ALICE, 2)}
    assert [one.name for one in Ownership.of(ALICE, ring).holders] == [ALICE, BOB]
