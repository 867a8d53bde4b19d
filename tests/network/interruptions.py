"""A transfer between two sites that is interrupted again and again, at random moments; and what must hold at its end.

The programs are real: `diadem serve` at the one site, `diadem accept` and `diadem transfer resume` at the other, each
in a network namespace of its own. A run is given by its seed. `benchmarks/transfer_faults.py` does the same at length.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from diadem.model.manifest import DERIVED_PATHS, TAGMANIFEST
from tests.consoles import given_here
from tests.namespaces import Site, Wire
from tests.network.labs import Lab

MIB: Final = 1 << 20
#: Connections of a fetch; for each of them a leaf may have to come again after an interruption.
CONNECTIONS: Final = 8
PORT: Final = 8642
#: Memory that no process may need.
MEMORY: Final = 250_000_000
#: Words of commands that call the other side.
_CALLS: Final = frozenset({"join", "confirm", "send", "inbox", "accept", "resume", "cancel", "pause"})
#: Seconds for a command of a person, for a server to listen, for the rest of a transfer, and for an end by Ctrl-C.
_COMMAND, _LISTEN, _REST, _CTRL_C = 300, 90, 900, 15
#: Seconds between two looks at the processes.
_LOOK: Final = 0.05
_INTERRUPTED: Final = 6

KILL_RECEIVER, KILL_SERVER, KILL_MAIN = "kill the receiver", "kill the server", "kill the server's first process"
CUT, CTRL_C, CUT_AND_KILL = "cut the wire", "Ctrl-C", "cut the wire and kill the receiver"
#: Counted beside them: those that came while the package landed.
LANDING: Final = "of them while it landed"
#: What is done, and how often beside the others.
KINDS: Final = {KILL_RECEIVER: 5, KILL_SERVER: 4, KILL_MAIN: 1, CUT: 5, CTRL_C: 4, CUT_AND_KILL: 1}


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a transfer is, and how it is interrupted.

    Attributes
    ----------
    size, files : int
        Bytes of its large files, and how many small ones lie beside them.
    rate : str
        What the receiver may take a second.
    wait : float
        Seconds until an interruption, at most, from the moment when bytes come.
    cut : tuple of float
        Shortest and longest time without a wire.
    """

    size: int
    files: int
    rate: str
    wait: float
    cut: tuple[float, float]


SMALL: Final = Scale(96 * MIB, 300, "10MB", 0.3, (0.1, 0.5))


@dataclass
class Peaks:
    """The largest memory that each sort of process was seen to need."""

    bytes: Counter[str] = field(default_factory=Counter)

    def look(self, name: str, process: int) -> None:
        """Note what a process has needed so far; nothing where it is gone."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            text = Path(f"/proc/{process}/status").read_text("ascii", "replace")
            peak = 1024 * int(text.partition("VmHWM:")[2].split(maxsplit=1)[0])
            self.bytes[name] = max(self.bytes[name], peak)


@dataclass
class Party:
    """A node at a site, and the person who works with it.

    Attributes
    ----------
    name, user : str
        Of the node, and of the person.
    site : Site
        Where.
    home : Path
        The person's; the node and its store lie there.
    peaks : Peaks
        Memory of its processes.
    """

    name: str
    user: str
    site: Site
    home: Path
    peaks: Peaks
    server: subprocess.Popen[str] | None = None
    _log_before: int = 0

    @property
    def store(self) -> Path:
        """The folder of its store."""
        return self.home / "archive"

    def give(self, *words: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """Give a command, and read the JSON that it prints.

        One that calls nobody is given in this process, without the second that a new interpreter takes.
        """
        if not _CALLS & set(words[:2]):
            code, text = given_here([*words, "--json"], self._environment(), self.home)
            assert code in codes, f"{self.name}$ diadem {' '.join(words)}\n{text}"
            told: dict[str, Any] = json.loads(text)
            return told
        done = self.site.run(
            "diadem",
            *words,
            "--json",
            cwd=self.home,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            timeout=_COMMAND,
        )
        assert done.returncode in codes, f"{self.name}$ diadem {' '.join(words)}\n{done.stdout}{done.stderr}"
        found: dict[str, Any] = json.loads(done.stdout) if done.stdout.strip() else {}
        return found

    def start(self, log: str, *words: str) -> subprocess.Popen[str]:
        """Start a command."""
        with (self.home / log).open("a") as sink:
            return self.site.start(
                "diadem",
                *words,
                cwd=self.home,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )

    def _environment(self) -> dict[str, str]:
        return Lab(self.home, self.site).environment()

    def serve(self, *, reachable: bool = True) -> None:
        """Start its server, and wait until it listens."""
        address = f"{self.site.address}:{PORT}"
        self.begin_to_serve("--listen", address, *_url(address, wanted=reachable))
        self.until_it_listens()

    def begin_to_serve(self, *words: str) -> None:
        """Start its server."""
        log = self.home / "serve.log"
        self._log_before = log.stat().st_size if log.exists() else 0
        self.server = self.start(log.name, "serve", *words)

    def until_it_listens(self) -> None:
        """Wait until its server has begun."""
        log, before, end = self.home / "serve.log", self._log_before, time.monotonic() + _LISTEN
        assert self.server is not None
        while "listening at" not in log.read_text("utf-8", "replace")[before:]:
            assert self.server.poll() is None, log.read_text("utf-8", "replace")[-2000:]
            assert time.monotonic() < end, "the server does not listen"
            time.sleep(_LOOK)

    def servers(self) -> list[int]:
        """The server's processes, the first one first."""
        return [self.server.pid, *_descendants(self.server.pid)] if self.server is not None else []

    def look(self) -> None:
        """Note how much memory the server needs."""
        for number, process in enumerate(self.servers()):
            self.peaks.look(f"{self.name}: server" if not number else f"{self.name}: worker", process)

    def kill_server(self, *, whole: bool = True) -> None:
        """Kill its server: all processes at once; or the first alone, and the others must follow."""
        assert self.server is not None
        self.look()
        processes = self.servers()
        for process in processes if whole else processes[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.server.wait()
        end = time.monotonic() + _CTRL_C
        while any(_lives(process) for process in processes):
            assert time.monotonic() < end, "the workers of a server that was killed go on"
            time.sleep(_LOOK)
        self.server = None

    def end(self) -> None:
        """End its server as a person would."""
        if self.server is not None:
            self.look()
            processes = self.servers()
            self.server.send_signal(signal.SIGTERM)
            try:
                self.server.wait(_CTRL_C)
            finally:
                for process in processes:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
            self.server = None


def _url(address: str, *, wanted: bool) -> list[str]:
    return ["--url", f"https://{address}"] if wanted else []


def _lives(process: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] != "Z"
    return False


def _descendants(process: int) -> list[int]:
    """All processes below one."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (folder / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found, todo = [], [process]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def acquainted(wire: Wire, folder: Path, *, reachable: str = "hu-berlin") -> tuple[Party, Party]:
    """Alice's node and Marie's, which know each other; the one that can be called serves."""
    peaks = Peaks()
    parties = []
    for name, user, site in (("hu-berlin", "alice", wire.one), ("nmi", "marie", wire.two)):
        party = Party(name, user, site, folder / name, peaks)
        party.home.mkdir(parents=True)
        recovery = ["--recovery-file", "recovery.txt"]
        party.give("init", "node", "--store", "archive", "--name", name, "--user", user, *recovery)
        parties.append(party)
    alice, marie = parties
    host, guest = (alice, marie) if reachable == alice.name else (marie, alice)
    host.serve()
    guest.give("peer", "join", host.give("peer", "invite")["ticket"])
    (pending,) = host.give("peer", "ls")["peers"]
    host.give("peer", "confirm", guest.name, "--words", pending["words"])
    return alice, marie


def write_session(folder: Path, scale: Scale, source: random.Random) -> None:
    """A session: two large files of odd sizes, and small ones in folders, with times of their own."""
    folder.mkdir()
    first = scale.size * 2 // 3 + source.randrange(MIB)
    for name, size in (("stack.raw", first), ("map.raw", scale.size - first)):
        with (folder / name).open("wb") as sink:
            for at in range(0, size, MIB):
                sink.write(source.randbytes(min(MIB, size - at)))
    for number in range(scale.files):
        path = folder / f"tiles {number // 250:02}" / f"tile {number:05}.tif"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source.randbytes(source.randrange(4000)))
        os.utime(path, ns=(1_700_000_000_000_000_000 + source.randrange(10**17),) * 2)


def throttled(site: Site, device: str, rate: str) -> None:
    """Let a site send only so much: "80mbit"."""
    words = f"tc qdisc replace dev {device} root tbf rate {rate} burst 64k latency 100ms"
    done = site.run(*words.split())
    assert done.returncode == 0, done.stderr


@dataclass
class Ordeal:
    """One transfer, and what is done to it.

    Parameters
    ----------
    wire : Wire
        Between the two.
    sender, receiver : Party
        The sender serves.
    scale : Scale
        How large.
    random : random.Random
        Says what happens, and when.
    """

    wire: Wire
    sender: Party
    receiver: Party
    scale: Scale
    random: random.Random
    transfer: str = ""
    package: str = ""
    #: What was done, in words, and how often each kind.
    history: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    #: Bytes on the receiver's interface before the first came; seconds that Ctrl-C took.
    before: int = 0
    ctrl_c: list[float] = field(default_factory=list)
    _client: subprocess.Popen[str] | None = None

    def offer(self) -> None:
        """Archive a session, and offer it."""
        folder = self.sender.home / "session"
        write_session(folder, self.scale, self.random)
        self.package = self.sender.give("archive", "session", "--now", "--as-one")["package"]["id"]
        shutil.rmtree(folder)
        short = self.package.removeprefix("diadem:")
        self.transfer = self.sender.give("send", short, "marie@nmi", "--comment", "again and again")["transfer"]["id"]

    # -- the receiver's command ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Accept it, and begin to fetch."""
        offered = [one["id"] for one in self.receiver.give("inbox")["offers"]]
        assert offered == [self.transfer]
        self.before = received_on(self.receiver.site, self.wire.device)
        self._client = self.receiver.start("fetch.log", "accept", self.transfer, "--max-rate", self.scale.rate)

    def go_on(self) -> None:
        """Go on, where no command does."""
        if self._client is None or self._client.poll() is not None:
            words = ["transfer", "resume", self.transfer, "--max-rate", self.scale.rate]
            self._client = self.receiver.start("fetch.log", *words)

    def _look(self) -> None:
        if self._client is not None:
            self.receiver.peaks.look(f"{self.receiver.name}: fetch", self._client.pid)
        for party in (self.sender, self.receiver):
            party.look()

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._look()
            time.sleep(min(left, _LOOK))

    def journal(self) -> int:
        """Bytes of the receiver's journal: it grows with what is proven."""
        path = self.receiver.store / ".diadem" / "arriving" / self.transfer / "journal"
        return path.stat().st_size if path.exists() else 0

    def until_bytes_come(self) -> None:
        """Wait until something was proven and written since now, or the command has ended."""
        before, end = self.journal(), time.monotonic() + _LISTEN
        while self.journal() <= before and (self._client is None or self._client.poll() is None):
            assert time.monotonic() < end, f"nothing comes any more\n{self.log()}"
            self._look()
            time.sleep(_LOOK)

    def client_ends(self, patience: float) -> int:
        """Wait until the receiver's command ends; its exit code."""
        assert self._client is not None
        return self._client.wait(patience)

    # -- interruptions ---------------------------------------------------------------------------------------------

    def interrupt(self) -> bool:
        """Let it go on, and interrupt it at a random moment: most times while bytes come, some times from the start.

        False where it came to its end before.
        """
        kind = self.random.choices(list(KINDS), list(KINDS.values()))[0]
        early = self.random.random() < 0.15
        self.go_on()
        if not early or kind == CTRL_C:  # Python that starts knows nothing yet of a quiet end
            self.until_bytes_come()
        self._wait(self.random.uniform(0.0, self.scale.wait))
        if self._client is not None and self._client.poll() == 0:
            return False
        self.strike(kind)
        return True

    def interrupt_landing(self) -> bool:
        """Kill the receiver, or the server, while the whole package is sealed, given its place and entered.

        False where it came to its end before.
        """
        self.go_on()
        place = self.receiver.store / ".diadem" / "arriving" / self.transfer / "bag" / TAGMANIFEST
        sealed, end = place.exists(), time.monotonic() + _REST
        while self._client is not None and self._client.poll() is None and (sealed or not place.exists()):
            sealed = sealed and place.exists()
            assert time.monotonic() < end, f"it does not land\n{self.log()}"
            self._look()
            time.sleep(_LOOK / 10)
            if sealed and self.journal():  # an earlier run sealed it: this one goes on from there
                break
        self._wait(self.random.uniform(0.0, self.scale.wait))
        if self._client is not None and self._client.poll() == 0:
            return False
        self.strike(self.random.choice((KILL_RECEIVER, KILL_RECEIVER, KILL_SERVER)), LANDING)
        return True

    def strike(self, kind: str, when: str = "") -> None:
        """Interrupt it now."""
        if when:
            self.counts[when] += 1
        self.counts[kind] += 1
        self.history.append(f"{kind} at {self.journal()}")
        self._look()
        if kind in (CUT, CUT_AND_KILL):
            self.wire.cut()
        if kind in (KILL_RECEIVER, CUT_AND_KILL):
            self._end_client(signal.SIGKILL)
        elif kind == CTRL_C:
            self._end_client(signal.SIGINT)
        elif kind in (KILL_SERVER, KILL_MAIN):
            self.sender.kill_server(whole=kind == KILL_SERVER)
            self.sender.serve()
        if kind in (CUT, CUT_AND_KILL):
            self._wait(self.random.uniform(*self.scale.cut))
            self.wire.join()

    def _end_client(self, how: signal.Signals) -> None:
        client, began = self._client, time.monotonic()
        assert client is not None
        ended = client.poll() is not None
        client.send_signal(how)
        code = client.wait(_COMMAND)
        if how is signal.SIGINT and not ended:
            self.ctrl_c.append(time.monotonic() - began)
            assert code in (0, _INTERRUPTED), f"Ctrl-C ended a command with {code}\n{self.log()}"

    def begin_pushed(self) -> None:
        """Accept it where its sender has no address: the sender's server pushes it to the receiver's."""
        end = time.monotonic() + _LISTEN
        while not (offers := self.receiver.give("inbox")["offers"]):
            assert time.monotonic() < end, "no offer comes"
        assert [one["id"] for one in offers] == [self.transfer]
        self.before = received_on(self.receiver.site, self.wire.device)
        self.receiver.give("accept", self.transfer, "--no-wait")

    def interrupt_pushed(self) -> bool:
        """Interrupt what is pushed at a random moment; False where it came to its end before."""
        kind = self.random.choice((KILL_RECEIVER, KILL_SERVER, CUT))
        before, end = self.journal(), time.monotonic() + _LISTEN
        while self.journal() <= before:
            if self.over():
                return False
            assert time.monotonic() < end, f"nothing comes any more\n{self.log()}"
            self._wait(4 * _LOOK)
        self._wait(self.random.uniform(0.0, self.scale.wait))
        self.counts[kind] += 1
        self.history.append(f"{kind} at {self.journal()}")
        if kind == CUT:
            self.wire.cut()
            self._wait(self.random.uniform(*self.scale.cut))
            self.wire.join()
            return True
        party = self.receiver if kind == KILL_RECEIVER else self.sender
        party.kill_server()
        party.serve(reachable=party is self.receiver)
        return True

    def finish_pushed(self) -> None:
        """Let it come to its end: both servers go on by themselves."""
        end = time.monotonic() + _REST
        while not self.over():
            assert time.monotonic() < end, f"it comes to no end\n{self.log()}"
            self._wait(10 * _LOOK)

    def over(self) -> bool:
        """Whether it is closed at both."""
        path = self.receiver.store / ".diadem" / "arriving" / self.transfer
        return not path.exists() and {self.state(), self.state_of(self.sender)} == {"closed"}

    def finish(self) -> None:
        """Let it come to its end, going on where a command ended."""
        end = time.monotonic() + _REST
        while self.state() not in ("closed", "received"):
            assert time.monotonic() < end, f"it comes to no end\n{self.log()}"
            self.go_on()
            assert self._client is not None
            while self._client.poll() is None:
                self._look()
                time.sleep(_LOOK)
        if self._client is not None:
            self._client.wait(_COMMAND)
        self.sender.look()

    def state(self) -> str:
        """The transfer's, at the receiver."""
        return self.state_of(self.receiver)

    def state_of(self, party: Party) -> str:
        """The transfer's, at one of them."""
        return str(party.give("transfer", "show", self.transfer, codes=(0, 1))["transfer"]["state"])

    def log(self) -> str:
        """What was done, and what the receiver's commands and the server said last."""
        logs = [(self.receiver, "fetch.log"), (self.receiver, "serve.log"), (self.sender, "serve.log")]
        paths = [party.home / name for party, name in logs]
        texts = [path.read_text("utf-8", "replace")[-3000:] for path in paths if path.exists()]
        return "\n".join([*self.history, *texts])

    # -- what must hold --------------------------------------------------------------------------------------------

    @property
    def interruptions(self) -> int:
        """How many there were."""
        return sum(self.counts[kind] for kind in KINDS)

    def judged(self, lost: int = MIB) -> dict[str, Any]:
        """Everything that was promised, looked at; figures of it.

        Raises `AssertionError` where something is not so.

        `lost` are the bytes that a connection may lose by an interruption.
        """
        came = received_on(self.receiver.site, self.wire.device) - self.before
        if self.state() == "received":  # the last contact was cut: the receipt is told again
            self.receiver.give("transfer", "resume")
        transfer = self.receiver.give("transfer", "show", self.transfer)["transfer"]
        assert transfer["state"] == "closed"
        assert not transfer["missing"]
        same_package(self.sender, self.receiver, self.package)
        same_story(self.sender, self.receiver, transfer)
        self._nothing_left()
        peaks = dict(self.receiver.peaks.bytes)
        assert max(peaks.values()) < MEMORY, f"memory: {peaks}"
        counts = transfer["counts"]
        bound = transfer["bytes"] // 100 + max(1, self.interruptions) * CONNECTIONS * lost
        figures = {
            "bytes": transfer["bytes"],
            "interruptions": self.interruptions,
            "kinds": dict(self.counts),
            "again_by_receipt": max(counts["again"], counts["received"] - transfer["bytes"]),
            "again_on_the_wire": came - transfer["bytes"],
            "bound": bound,
            "memory": peaks,
            "ctrl_c": max(self.ctrl_c, default=0.0),
        }
        assert figures["again_by_receipt"] <= bound, figures
        assert figures["again_on_the_wire"] <= bound, figures
        return figures

    def _nothing_left(self) -> None:
        """No place of what arrived, and no lock that somebody holds."""
        assert not list((self.receiver.store / ".diadem" / "arriving").iterdir())
        held = Path("/proc/locks").read_text("ascii")
        for path in (self.receiver.home / "node" / "locks").iterdir():
            assert path.name == "serve.lock" or f":{path.stat().st_ino} " not in held, f"{path.name} is held"


def same_package(sender: Party, receiver: Party, package: str) -> None:
    """A package lies at both sites: same names, bytes, times and modes; and the receiver's own proof holds."""
    short = package.removeprefix("diadem:")
    folders = [_folder_of(party.store, short) for party in (sender, receiver)]
    assert folders[0].relative_to(sender.store) == folders[1].relative_to(receiver.store)
    one, two = (dict(content(folder)) for folder in folders)
    assert one.keys() == two.keys()
    assert not [name for name, found in one.items() if found != two[name]]
    receiver.give("verify", short, "--level", "full")


def _folder_of(store: Path, package: str) -> Path:
    """Where a package lies in a store."""
    folders = store.glob("20*/*")
    return next(one for one in folders if hashlib.sha256((one / TAGMANIFEST).read_bytes()).hexdigest() == package)


def same_story(sender: Party, receiver: Party, transfer: dict[str, Any]) -> None:
    """Both chains of custody of a transfer's package, read together by anybody, agree."""
    files = []
    for party in (sender, receiver):
        files.append(str(party.home / "custody.json"))
        for before in party.home.glob("custody*.json"):
            before.unlink()
        party.give("custody", transfer["package"], "--export", files[-1])
    found = receiver.give("custody", "verify", *files)
    assert found["ok"]
    assert not found["counts"]["contradicted"]
    assert not found["counts"]["missing"]
    proved = [step for step in found["steps"] if step["verdict"] == "proved"]
    told = Counter(step["kind"] for step in proved if step["kind"] != "replicate" or step["node"] != transfer["peer"])
    for kind in ("offer", "acceptance", "receipt", "closure", "replicate"):
        assert told[kind] == 1, f"{told[kind]} × {kind}"
    ids = {step["kind"]: step["statement"] for step in found["steps"]}
    assert all(ids[kind] == transfer[kind] for kind in ("offer", "acceptance", "receipt", "closure"))


def content(folder: Path) -> Iterator[tuple[str, tuple[int, int, bytes]]]:
    """Everything in a package: mode, time where it is the session's, and SHA-256."""
    for path in sorted(folder.rglob("*")):
        name, status = path.relative_to(folder).as_posix(), path.stat()
        if not path.is_file():
            yield name, (stat.S_IMODE(status.st_mode), 0, b"")
            continue
        dated = name.startswith("data/") and name not in DERIVED_PATHS
        with path.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").digest()
        yield name, (stat.S_IMODE(status.st_mode), status.st_mtime_ns if dated else 0, digest)


def received_on(site: Site, device: str) -> int:
    """Bytes that came in at a site since its interface was made: everything, also what TCP sent twice."""
    return _counted(site, device)[0]


def sent_on(site: Site, device: str) -> int:
    """Bytes that left a site since its interface was made."""
    return _counted(site, device)[8]


def _counted(site: Site, device: str) -> list[int]:
    for line in site.run("cat", "/proc/net/dev").stdout.splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == device:
            return [int(number) for number in numbers.split()]
    raise AssertionError(f"{site.name} has no {device}")


def remove(folder: Path) -> None:
    """Remove a folder with packages in it: they are sealed."""
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)
