"""A package from one node over a hub to a second and on a disk to a third, and its whole story, checked offline."""

from __future__ import annotations

import datetime
import itertools
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import diadem
from diadem.custody.report import Verdict
from diadem.model.transfers import State
from diadem.network.desk import desk_of
from diadem.network.link import Link
from diadem.node.config import ServerSettings
from tests.cli.inside import said
from tests.transfer.pair import Wire
from tests.transfer.star import HUB
from tests.transfer.test_messages_through_a_hub import archived
from tests.transfer.test_through_a_real_hub import Fjord, fjord
from tests.transfer.towns import url

__all__ = ["fjord"]


def marie(town: Fjord) -> diadem.Node:
    """A user of nmi at work."""
    town.node("nmi").users.add("marie")
    path = town.nodes.pop("nmi").path
    town.nodes["nmi"] = town.wired(diadem.open_node(path, user="marie"), "nmi")
    town.later("nmi", days=2)
    return town.nodes["nmi"]


def lab(town: Fjord, root: Path) -> diadem.Node:
    """A third node, which marie's has met."""
    node = diadem.Node.create(root / "node", name="lab", user="carla", store=str(root / "store"))
    served = partial(lambda server, known: replace(known, server=server), ServerSettings("", (url("lab"),)))
    node.context.change_settings(served)
    town.nodes["lab"] = node
    town.later("lab", days=2)
    town.meet("lab", "nmi")
    return node


def calls(caller: diadem.Node, called: diadem.Node) -> None:
    """Let one node call another."""
    desk = desk_of(caller.context)
    wire, before = Wire(caller.id, lambda: desk_of(called.context)), desk.link

    def link(peer: str) -> Link:
        return wire if peer == called.id else before(peer)

    desk.link = link  # type: ignore[method-assign]


def ticking(*nodes: diadem.Node) -> None:
    """Let each statement be a minute later than the one before, whoever says it."""
    minutes = itertools.count()
    begin = datetime.datetime(2026, 3, 14, 9, tzinfo=datetime.UTC)
    for node in nodes:
        node.context.ledger._clock = lambda: begin + datetime.timedelta(minutes=next(minutes))


STORY = """\
1 file (5.12 kB) from … was archived in the store main for alice@hu-berlin
alice@hu-berlin allowed marie@nmi to read 1 package until …
alice@hu-berlin offered the package (1 file, … kB) to marie@nmi until …
marie@nmi accepted the offer, up to 67.3 MB, to travel through a hub
the node nmi allowed the node oslo to keep for it at most 136 MB of sealed windows from the node hu-berlin, until …
marie@nmi copied the package from the node hu-berlin to the store main; every byte was hashed while it was written
the node nmi received the package for marie@nmi and proved every byte in main: … kB came through a hub
the node oslo stored 3 sealed windows (… kB) of the node hu-berlin for the node nmi from … on and deleted the last by \
…, when all of them had been taken
the node hu-berlin saw the other node's receipt and confirmed the transfer
marie@nmi allowed carla@lab to read 1 package until …
marie@nmi offered the package (1 file, … kB) to carla@lab until …
marie@nmi gave the package to carla@lab (disk); that it arrived is not attested by anyone else
carla@lab accepted the offer, up to 67.3 MB, to travel on a disk
carla@lab copied the package from the node nmi to the store main; every byte was hashed while it was written
the node lab received the package for carla@lab and proved every byte in main: … kB came on a disk
the node nmi saw the other node's receipt and confirmed the transfer
Both sides, hu-berlin and nmi, say the same about the transfer …: offered, accepted, received and confirmed
Both sides, nmi and lab, say the same about the transfer …: offered, accepted, received and confirmed
The hub oslo and the nodes that have taken and put it say the same about what it carried for the transfer …: 3 sealed \
windows, … kB"""


def test_over_a_hub_and_on_a_disk_it_reads_as_one_story_offline(fjord: Fjord, tmp_path: Path) -> None:
    berlin, nmi, oslo, carla = fjord.node("hu-berlin"), marie(fjord), fjord.node(HUB), lab(fjord, tmp_path / "lab")
    calls(nmi, carla)
    nmi.transfers.sync()
    ticking(berlin, nmi, oslo, carla)
    sent = berlin.send(archived(fjord), "marie@nmi")
    assert [offer.id for offer in nmi.inbox()] == [sent.id]
    nmi.accept(sent.id)
    for node in (berlin, nmi, berlin, nmi):
        node.transfers.sync()
    for node in (berlin, nmi):
        shown = " ".join(said("custody", sent.package, "--node", node.path).split())
        assert "proved The hub oslo and the nodes that have taken and put it say the same" in shown
    posted = nmi.export_disk(sent.package, "carla@lab", tmp_path / "disk").transfer
    assert carla.import_(tmp_path / "disk").transfer.state is State.RECEIVED
    for _ in range(2):
        nmi.transfers.sync()
    assert [node.transfers.show(posted.id).transfer.state for node in (nmi, carla)] == [State.CLOSED] * 2
    files = [node.export_custody(sent.package, tmp_path / f"{node.name}.json") for node in (berlin, nmi, carla)]
    for node in (berlin, nmi, carla):
        files += node.export_relays(sent.package, tmp_path / f"{node.name}.json")
    names = {path.name for path in files}
    assert names - {"hu-berlin.json", "nmi.json", "lab.json"} == {
        "hu-berlin-hub-1.json",
        "nmi-permit-1.json",
        "nmi-hub-2.json",
        "nmi-2.json",
        "lab-2.json",
        "lab-3.json",
    }
    pins = [node.id for node in (berlin, nmi, oslo, carla)]
    report = diadem.verify_custody(*files, pins=pins)
    assert report.ok, report
    told = [step.sentence for step in report.story if step.time or step.verdict is Verdict.PROVED]
    expected = [re.escape(line).replace("…", ".*?") for line in STORY.splitlines()]
    heard = [re.sub(r"^On \d.*? UTC, ", "", sentence).rstrip(".") for sentence in told]
    for line, pattern in itertools.zip_longest(heard, expected, fillvalue=""):
        assert re.fullmatch(pattern, line), (line, pattern)
    counted = [
        entry.statement.predicate["relayed"]
        for node, kind in ((nmi, "receipt"), (berlin, "closure"))
        for entry in node.context.ledger.of_kind(kind)[:1]
    ]
    assert counted[0] == counted[1]
    text = said("custody", "verify", *files, *(word for pin in pins for word in ("--pin", pin)))
    assert text.index("offered the package") < text.index("on a disk") < text.rindex("in all")
