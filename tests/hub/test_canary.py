"""What a hub learns: which nodes speak, how much and when. Everything else is looked for everywhere, and not found.

The second test is the proof of the first: where nothing is sealed, the same search finds a word of every class.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from diadem.model.ports import silent
from diadem.model.transfers import State
from diadem.network.desk import desk_of
from diadem.network.rounds import fetch_carried
from diadem.trust import age_file
from tests.hub.canaries import found_in
from tests.hub.harbour import HUB, REASON, RECEIVED, SPOKES, Harbour, harbour


def whole_story(town: Harbour) -> dict[str, set[str]]:
    """Everything that two nodes do through a hub; for each place at the hub the classes of secrets that are there."""
    berlin, nmi = (town.nodes[name] for name in SPOKES)
    town.meet_each_other()
    package = town.archived()
    declined = town.send(package)
    nmi.decline(declined.id, reason=REASON)
    town.settle(lambda: berlin.transfers.show(declined.id).transfer.state is State.DECLINED)
    revoked = town.send(package)
    berlin.transfers.cancel(revoked.id, reason=REASON)
    town.settle(lambda: nmi.transfers.show(revoked.id).transfer.state is State.REVOKED)
    sent = town.send(package)
    accepted = nmi.accept(sent.id, wait=False)
    # as `sync`, without waiting for what is not there yet
    fetch_carried(desk_of(nmi.context), accepted, silent, wait=0.0)
    berlin.transfers.sync()  # now all of it lies there
    held = town.nodes[HUB].hub()
    assert held is not None
    assert held.objects >= 3
    town.look("sealed windows lie there")
    town.settle(lambda: {n.transfers.show(sent.id).transfer.state for n in (berlin, nmi)} == {State.CLOSED})
    assert nmi.get(package).verify().ok
    said = nmi.transfers.show(sent.id).transfer.to_dict()
    town.remember("statement id", *(said[kind] for kind in ("offer", "acceptance", "receipt", "closure")))
    town.look("it is over")
    town.require_what_a_hub_knows()
    return {where: found for where, data in town.seen.items() if (found := found_in(data, town.secrets))}


@pytest.mark.program("everything that a hub keeps is searched")
def test_a_hub_sees_nothing_but_nodes_sizes_and_times(tmp_path: Path) -> None:
    with harbour(tmp_path) as town:
        assert whole_story(town) == {}


@pytest.mark.program("everything that a hub keeps is searched")
def test_the_search_finds_every_secret_where_nothing_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(first: bytes, data: bytes | bytearray, *_: object) -> bytearray:
        return bytearray(first + data)

    def taken(data: bytes, *_: object) -> bytearray:
        return bytearray(data)

    monkeypatch.setattr(age_file, "encrypt", plain)
    monkeypatch.setattr(age_file, "decrypt", taken)
    with harbour(tmp_path) as town:
        found = whole_story(town)
        classes = set(town.secrets)
    assert found[RECEIVED] == classes
    on_disk = set().union(*(there for where, there in found.items() if where.startswith(f"{HUB}/node/hub/")))
    assert on_disk >= classes - {"ticket", "reason", "statement id"}  # those are taken before anybody looks
