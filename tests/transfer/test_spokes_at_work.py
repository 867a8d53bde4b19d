"""What people and services of a node behind a hub see and run."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import replace
from functools import partial

import pytest

from diadem.api.nodes import open_node
from diadem.cli.operation import show_serving
from diadem.errors import UsageError
from diadem.model.transfers import State
from diadem.network.http.address import NOWHERE, choose_address
from diadem.network.http.serve import Announcement, Plan, serve
from diadem.network.jobs import HubPoller
from diadem.node.config import NodeSettings, ServerSettings
from tests.cli.inside import said, said_json
from tests.transfer.star import HUB, Star
from tests.transfer.test_messages_through_a_hub import archived
from tests.transfer.towns import noted, url


def test_a_service_hears_at_once_what_is_put_down_for_it(star: Star) -> None:
    stop, desk = threading.Event(), star.desk("nmi")
    boxes = HubPoller(desk, wait=5.0)
    assert boxes.run(stop) is False
    threads = threading.active_count()
    boxes.run(stop)
    assert threading.active_count() == threads  # one a hub
    sent = star.node("hu-berlin").send(archived(star), "alice@nmi")
    until = time.monotonic() + 10
    while desk.book.find(sent.id) is None and time.monotonic() < until:
        time.sleep(0.02)
    stop.set()
    assert desk.book.get(sent.id).state is State.OFFERED
    while any(thread.name.startswith("box at") for thread in threading.enumerate()):
        star.hub.down = True
        time.sleep(0.02)


def test_a_node_that_listens_nowhere_is_served_and_says_its_hubs(star: Star) -> None:
    context = star.node("nmi").context
    threading.Timer(1.5, signal.raise_signal, [signal.SIGTERM]).start()
    told = said("serve", "--listen", "none", "--quiet", "--node", context.folder)
    assert "listening at     nowhere: this node calls its peers and hubs" in told
    assert "hubs             oslo" in told
    context.reread_settings()
    assert context.settings.server.listen == NOWHERE
    assert choose_address(context) is None  # said once, it holds at the next start
    with pytest.raises(UsageError, match="listens nowhere has no address"):
        choose_address(context, urls=["https://nmi.example.org"])
    assert str(choose_address(context, listen="127.0.0.1:8642")) == "127.0.0.1:8642"


def with_hub(settings: NodeSettings, *, hub: bool) -> NodeSettings:
    """Settings of a node that has an address, and relays or not."""
    return replace(settings, server=ServerSettings("", (url("nmi"),), hub=hub))


class Enough(Exception):
    """What was to be heard was heard."""


def test_a_spoke_that_becomes_a_hub_is_told_where_it_picks_up_no_more(
    star: Star, capsys: pytest.CaptureFixture[str]
) -> None:
    context = star.node("nmi").context

    def heard(started: Announcement) -> None:
        show_serving(replace(started, listen="127.0.0.1:8642"), as_json=False)
        raise Enough

    for hub in (False, True):
        context.change_settings(partial(with_hub, hub=hub))
        with pytest.raises(Enough):
            serve(context, Plan(None, open_node, quiet=True), told=heard)
        told = capsys.readouterr().out
        assert ("WARNING          hubs do not collect from hubs: nothing comes from 'oslo'" in told) is hub


def test_the_ways_are_shown_and_a_hub_that_is_down_is_named(star: Star) -> None:
    noted(star, HUB, "nmi", urls=("https://127.0.0.1:9",))
    folder = star.node("nmi").context.folder
    told = said("transfer", "sync", "--node", folder, "--quiet", code=1)
    assert "PROBLEM          the hub 'oslo' does not answer" in told
    told = said("peer", "ls", "--node", folder)
    assert "takes  through the hub 'oslo': neither 'hu-berlin' nor this node can call the other" in told
    assert "hub 'oslo'       allowed, FAILS since" in told
    assert "direct           not possible: neither 'hu-berlin' nor this node has an address" in told
    peers = {peer["name"]: peer for peer in said_json("peer", "ls", "--node", folder)["peers"]}
    assert [view["route"] for view in peers["hu-berlin"]["routes"]["routes"]] == ["direct", "hub"]
    assert peers[HUB]["hub"] is True
    status = said("status", "--node", folder, code=0)
    assert "PROBLEM: through the hub 'oslo' has failed since" in status
    document = said_json("status", "--node", folder)
    assert "the hub 'oslo' does not answer" in document["peers"][0]["trouble"]
