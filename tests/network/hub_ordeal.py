"""Transfers between two sites that reach a hub and not each other, while everything fails; and what must hold then.

All programs are real: `diadem serve --hub` in the middle, `diadem serve --listen none` at either site, each in a
network namespace of its own. Cables are cut, processes killed, and the hub does what it should not (`hub_faults`).
A run is given by its seed. `benchmarks/hub_faults.py` does the same at length.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import diadem
from tests.consoles import given_here
from tests.namespaces import Site, Star
from tests.network import hub_faults
from tests.network.hub_faults import BadHub
from tests.network.interruptions import (
    MEMORY,
    MIB,
    PORT,
    Party,
    Peaks,
    Scale,
    received_on,
    same_package,
    same_story,
    sent_on,
    throttled,
    write_session,
)

HUB: Final = "institute-hub"
#: Windows that are on their way at once, and their size: so much may have to go again after an interruption.
AT_ONCE, WINDOW = 3, 16 * MIB
CUT_SENDER, CUT_RECEIVER, CUT_BOTH = "cut the sender's cable", "cut the receiver's cable", "cut both cables"
KILL_HUB, KILL_SENDER, KILL_RECEIVER = "kill the hub", "kill the sender", "kill the receiver"
#: What is done, and how often beside the others.
KINDS: Final[Mapping[str, int]] = {
    CUT_SENDER: 3,
    CUT_RECEIVER: 3,
    CUT_BOTH: 1,
    KILL_HUB: 3,
    KILL_SENDER: 2,
    KILL_RECEIVER: 3,
    hub_faults.FULL: 2,
    **dict.fromkeys(hub_faults.KINDS, 2),
}
#: Seconds for what comes next to come, for the whole rest, and between two looks.
_PATIENCE, _REST, _LOOK = 60, 1200, 0.05
_SELDOM: Final = 0.5
#: Seconds after which a person asks anew for what does not come.
_PATIENT: Final = 8


class Spoke(Party):
    """A node that nobody can call, and who works there."""

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "DIADEM_NODE": str(self.home / "node")}

    def serve(self, *, reachable: bool = False) -> None:  # noqa: ARG002  a spoke never is
        """Start its service; it calls the hub."""
        self.begin_to_serve("--listen", "none")

    def give(self, *words: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """Give a command at its site, and read the JSON that it prints."""
        with self.site.inside():
            code, text = given_here([*words, "--json"], self._environment(), self.home)
        assert code in codes, f"{self.name}$ diadem {' '.join(words)}\n{text}"
        found: dict[str, Any] = json.loads(text)
        return found


class Middle(Spoke):
    """The hub, and its operator."""

    def serve(self, *, reachable: bool = True) -> None:  # noqa: ARG002  a hub always is
        """Start it, and wait until somebody answers there."""
        address = f"{self.site.address}:{PORT}"
        self.begin_to_serve("--listen", address, "--url", f"https://{address}", "--hub")
        self.until_it_listens()
        end = time.monotonic() + _PATIENCE
        with self.site.inside():
            while time.monotonic() < end:
                with contextlib.suppress(OSError), socket.create_connection((self.site.address, PORT)):
                    return
                time.sleep(_LOOK)


@contextlib.contextmanager
def harbour(star: Star, folder: Path) -> Iterator[tuple[Spoke, Spoke, Middle]]:
    """Alice's node, Marie's, and a hub between them; all are served, and the two know each other."""
    peaks = Peaks()
    parties: list[Spoke] = []

    def made(kind: type[Spoke], name: str, user: str, site: Site) -> Any:
        party = kind(name, user, site, folder / name, peaks)
        party.home.mkdir(parents=True)
        diadem.Node.create(party.home / "node", name=name, user=user, store=str(party.store)).close()
        parties.append(party)
        return party

    hub = made(Middle, HUB, "operator", star.hub)
    alice, marie = made(Spoke, "hu-berlin", "alice", star.one), made(Spoke, "nmi", "marie", star.two)
    try:
        hub.serve()
        for spoke in (alice, marie):
            joined = spoke.give("peer", "join", hub.give("peer", "invite")["ticket"])
            hub.give("peer", "confirm", spoke.name, "--words", joined["peer"]["words"])
            spoke.serve()
        joined = marie.give("peer", "join", alice.give("peer", "invite")["ticket"])
        alice.give("peer", "confirm", marie.name, "--words", joined["peer"]["words"])
        yield alice, marie, hub
    finally:
        for party in parties:
            party.end()


@dataclass
class HubOrdeal:
    """Transfers, and what is done to them.

    Parameters
    ----------
    star : Star
        The sites.
    sender, receiver, hub : Party
        Who is there.
    scale : Scale
        How large each transfer is; `rate` is what the receiver's cable carries.
    random : random.Random
        Says what happens, and when.
    """

    star: Star
    sender: Spoke
    receiver: Spoke
    hub: Middle
    scale: Scale
    random: random.Random
    packages: dict[str, str] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    #: Transfers of which so much came damaged that no more may come than was accepted.
    given_up: set[str] = field(default_factory=set)
    _before: tuple[int, int] = (0, 0)
    anew: int = 0
    _asked: float = 0.0
    _looked: float = 0.0
    _came: int = 0
    _began: float = 0.0
    _bad: BadHub = field(init=False)

    def __post_init__(self) -> None:
        """Let the hub be bad when it is told."""
        self._bad = BadHub(self.hub.home / "node", self.random)

    # -- the transfers ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Archive two sessions, offer them, and accept them, over cables that carry only so much."""
        sent = [self._offered(), self._offered()]
        self._until(lambda: len(self.receiver.give("inbox")["offers"]) == len(sent))
        for site, device in ((self.star.two, "line0"), (self.star.hub, "line1"), (self.star.one, "line0")):
            throttled(site, device, self.scale.rate)
        self._began = time.monotonic()
        self._before = sent_on(self.star.one, "line0"), received_on(self.star.two, "line0")
        for transfer in sent:
            self.receiver.give("accept", transfer, "--no-wait")

    def go_on(self) -> None:
        """Send another session: a quick machine has all of the others before it was disturbed often enough."""
        transfer = self._offered()
        self._until(lambda: any(one["id"] == transfer for one in self.receiver.give("inbox")["offers"]))
        self.receiver.give("accept", transfer, "--no-wait")

    def _offered(self) -> str:
        folder = self.sender.home / f"session {len(self.packages)}"
        write_session(folder, self.scale, self.random)
        package = self.sender.give("archive", folder.name, "--now", "--as-one")["package"]["id"]
        sent: str = self.sender.give("send", package.removeprefix("diadem:"), "marie@nmi")["transfer"]["id"]
        self.packages[sent] = package
        return sent

    def _until(self, done: Callable[[], bool], patience: float = _PATIENCE) -> None:
        end = time.monotonic() + patience
        while not done():
            assert time.monotonic() < end, f"it does not come\n{self.log()}"
            self._wait(4 * _LOOK)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if time.monotonic() - self._looked > _SELDOM:  # each look reads all of /proc
                self._looked = time.monotonic()
                for party in (self.sender, self.receiver, self.hub):
                    party.look()
            self._bad.remember()
            time.sleep(min(left, _LOOK))

    def state(self, party: Party, transfer: str) -> dict[str, Any]:
        """A transfer at one of them."""
        found: dict[str, Any] = party.give("transfer", "show", transfer, codes=(0, 1))["transfer"]
        return found

    def over(self) -> bool:
        """Whether everything is closed at both; what has failed is looked at, and tried anew as a person would."""
        done = True
        for transfer in self.packages:
            found = self.state(self.receiver, transfer)
            if found["state"] == "failed" and transfer not in self.given_up:
                assert f"the hub '{HUB}'" in found["error"], found["error"]
                self.failed.append(found["error"])
                if "no more may " in found["error"]:
                    self.given_up.add(transfer)
                else:
                    self._ask_anew(transfer)
                    done = False
            elif transfer not in self.given_up:
                done = done and found["state"] == self.state(self.sender, transfer)["state"] == "closed"
        return done

    # -- what is done ----------------------------------------------------------------------------------------------

    def strike(self) -> bool:
        """Do something at a random moment; False where everything has landed."""
        self._wait(self.random.uniform(0.0, self.scale.wait))
        kind = self.random.choices(list(KINDS), list(KINDS.values()))[0]
        if kind in hub_faults.KINDS:
            end = time.monotonic() + _PATIENCE
            while not self._bad.misbehave(kind):
                if self._has_landed() or time.monotonic() > end:
                    return False
                self._wait(_LOOK)
        else:
            self._do(kind)
        self.counts[kind] += 1
        self.history.append(f"{time.monotonic() - self._began:.1f} s, {kind}: {self.journals()}")
        return True

    def _has_landed(self) -> bool:
        return len(list((self.receiver.store).glob("20*/*"))) == len(self.packages)

    def journals(self) -> int:
        """Bytes of the receiver's journals."""
        return sum(path.stat().st_size for path in (self.receiver.store / ".diadem" / "arriving").glob("*/journal"))

    def _nudge(self) -> None:
        """What was lost comes when a person asks for it, who has waited a while; what lies there may be a lie."""
        now, came = time.monotonic(), self.journals()
        if came != self._came:
            self._asked, self._came = now, came
        elif now - self._asked > _PATIENT:
            self._asked = now
            for transfer in self.packages:
                if self.state(self.receiver, transfer)["state"] in ("accepted", "transferring"):
                    self._ask_anew(transfer)

    def _ask_anew(self, transfer: str) -> None:
        self.anew += 1
        self.receiver.give("transfer", "resume", transfer, "--anew", codes=tuple(range(7)))

    def _do(self, kind: str) -> None:
        sites = {CUT_SENDER: [self.star.one], CUT_RECEIVER: [self.star.two], CUT_BOTH: [self.star.one, self.star.two]}
        if kind in sites:
            for site in sites[kind]:
                self.star.cut(site)
            self._wait(self.random.uniform(*self.scale.cut))
            for site in sites[kind]:
                self.star.join(site)
        elif kind == hub_faults.FULL:
            self._bad.full(now=True)
            self._wait(2 + self.random.uniform(*self.scale.cut))  # it is seen within two seconds
            self._bad.full(now=False)
        else:
            party = {KILL_HUB: self.hub, KILL_SENDER: self.sender, KILL_RECEIVER: self.receiver}[kind]
            party.kill_server()
            party.serve()

    def finish(self) -> None:
        """Let it come to its end: the hub is put in order, and people ask for what does not come."""
        self.history.append(f"{time.monotonic() - self._began:.1f} s, the hub is put in order")
        self.hub.kill_server()
        self.hub.serve()
        end = time.monotonic() + _REST
        while not self.over():
            assert time.monotonic() < end, f"it comes to no end\n{self.log()}"
            self._nudge()
            self._wait(4 * _LOOK)
        # what still lies at the hub goes with a round of its own, which comes after that of the receipt
        self._until(lambda: bool(self.given_up) or not self._bad.lying())

    def log(self) -> str:
        """What was done, and what was said last."""
        texts = [
            path.read_text("utf-8", "replace")[-2000:] for path in sorted(self.hub.home.parent.glob("*/serve.log"))
        ]
        known = [self.state(party, one) for party in (self.sender, self.receiver) for one in self.packages]
        shown = [f"{one['direction']} {one['state']} {one['done']} {one['error']} {one['counts']}" for one in known]
        return "\n".join([*self.history, *shown, *texts])

    # -- what must hold --------------------------------------------------------------------------------------------

    @property
    def interruptions(self) -> int:
        """How many there were."""
        return sum(self.counts.values())

    def judged(self) -> dict[str, Any]:
        """Everything that was promised, looked at; figures of it.

        Raises `AssertionError` where something is not so.
        """
        sent, came = sent_on(self.star.one, "line0"), received_on(self.star.two, "line0")
        size, again = 0, 0
        for transfer, package in self.packages.items():
            found = self.state(self.receiver, transfer)
            size += found["bytes"]
            if transfer in self.given_up:
                assert (found["state"], found["receipt"]) == ("failed", "")
                continue
            assert found["state"] == "closed"
            assert not found["missing"]
            same_package(self.sender, self.receiver, package)
            same_story(self.sender, self.receiver, found)
            again += max(found["counts"]["again"], found["counts"]["received"] - found["bytes"])
        left = {path.name for path in (self.receiver.store / ".diadem" / "arriving").iterdir() if path.is_dir()}
        assert left == self.given_up
        assert self.given_up or not self._bad.lying()
        peaks = dict(self.receiver.peaks.bytes)
        assert max(peaks.values()) < MEMORY, f"memory: {peaks}"
        bound = size // 100 + max(1, self.interruptions + self.anew) * AT_ONCE * WINDOW
        lost = {
            "again_by_receipt": again,
            "again_sent": sent - self._before[0] - size,
            "again_received": came - self._before[1] - size,
        }
        figures = {
            "bytes": size,
            "interruptions": self.interruptions,
            "kinds": dict(self.counts),
            "failed": len(self.failed),
            "given_up": len(self.given_up),
            "asked_anew": self.anew,
            "seconds": round(time.monotonic() - self._began, 1),
            **lost,
            "bound": bound,
            "memory": peaks,
        }
        assert max(lost.values()) <= bound, figures
        return figures
