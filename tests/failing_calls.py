"""The n-th system call of a command fails: what comes of the command, of the node, and of the packages.

`failing_calls.c` lets real calls of real commands fail, below the node's folder, its stores, the source, or where files
are given back to. A case is given by its seed: which command, which sort of call, the how manieth of them, with which
error, once or from then on. Needs Linux and a C compiler.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from diadem.store.stage import remove_tree
from tests.zygote import Zygote

_SOURCE = Path(__file__).with_name("failing_calls.c")
#: Seconds after which a command counts as one that hangs, on a machine that does much else.
PATIENCE = 60.0
_INTERNAL = ("should not have happened", "Traceback (most recent call last)")
#: What must not be said of files of a node that are sound.
_UNTRUE = ("can restore the node", "file is damaged", "catalogue is damaged", "Mend the line it names")

#: Errors that a sort of call gives when a disk is full or dying, a share is away, or the rights are gone.
_DISK = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.ESTALE)
_READING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT)
CALLS: Mapping[str, Sequence[int]] = {
    "open": (*_DISK, errno.EMFILE, errno.ETIMEDOUT),
    "write": (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE),
    "fsync": (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS),
    "rename": _DISK,
    "link": (*_DISK, errno.EPERM),
    "unlink": (errno.EIO, errno.EROFS, errno.EACCES, errno.ESTALE),
    "mkdir": _DISK,
    "chmod": (errno.EPERM, errno.ENOSYS, errno.EROFS, errno.EIO),
    "truncate": (errno.EIO, errno.ENOSPC, errno.EFBIG),
    "read": _READING,
    "stat": (*_READING, errno.EHOSTDOWN, errno.EACCES),
    "opendir": (*_READING, errno.EACCES, errno.EMFILE),
    "flock": (errno.EIO, errno.ENOLCK, errno.ESTALE),
}
#: Commands, and how often each comes up beside the others.
VERBS: Mapping[str, tuple[Callable[[Site], Sequence[object]], int]] = {
    "archive": (lambda site: ("archive", site.source("new"), "--now", "--as-one"), 8),
    "continue": (lambda site: ("archive", site.source("grown"), "--now", "--as-one"), 2),
    "status": (lambda _: ("status",), 3),
    "scrub": (lambda _: ("scrub",), 3),
    "repair": (lambda _: ("repair",), 4),
    "get": (lambda site: ("get", site.ids[0], site.folder / "given"), 3),
    "search": (lambda _: ("search", "first"), 2),
    "verify": (lambda site: ("verify", site.ids[0]), 2),
    "drop": (lambda site: ("drop", site.ids[0], "--store", "second", "--reason", "a trial", "--below-minimum"), 3),
    "delete": (lambda site: ("delete", site.ids[1], "--reason", "a trial"), 2),
    "export": (lambda site: ("export", site.ids[0], site.folder / "out.zip", "--for", "Marie"), 3),
    "watch": (lambda site: ("watch", "run", site.folder / "watched", "--once"), 3),
    "reindex": (lambda _: ("reindex",), 2),
    "store add": (lambda site: ("store", "add", site.folder / "third", "--place", "third"), 2),
    "init": (
        lambda site: (
            *("init", site.folder / "other node", "--store", site.folder / "other store", "--name", "other"),
            *("--user", "olga", "--recovery-file", site.folder / "other recovery.txt"),
        ),
        3,
    ),
    "user add": (lambda _: ("user", "add", "carol"), 1),
    "send": (lambda site: ("send", site.ids[0], "marie@lab"), 1),
    "custody": (lambda site: ("custody", site.ids[0]), 1),
    "doctor": (lambda _: ("doctor",), 2),
    "jobs": (lambda _: ("jobs",), 1),
    "rescan": (lambda _: ("rescan",), 1),
    "amend": (lambda site: ("amend", site.ids[0], "--set", "session.title=better", "--reason", "a trial"), 1),
}
#: Commands that make what is not there: the second time something of it may be there already.
_MAKING = ("init", "store add", "user add", "delete", "drop", "export", "get")


#: Bytes of the file in which calls are counted.
COUNTERS = 8 * (1 + 16 * 16)


def build(library: Path) -> Path:
    """Make the library that lets calls fail."""
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True)
    return library


def missing() -> str:
    """Why it cannot be tried here; "" where it can."""
    if not sys.platform.startswith("linux"):
        return "calls are made to fail with LD_PRELOAD, on Linux"
    return "" if shutil.which("gcc") else "there is no C compiler (gcc)"


@dataclass
class Case:
    """What was tried, and what came of it."""

    seed: int
    verb: str = ""
    call: str = ""
    under: str = ""
    number: int = 0
    error: int = 0
    sticky: bool = False
    code: int = 0
    said: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        often = "from then on" if self.sticky else "once"
        plan = f"{self.verb}: {self.call} {self.number} below {self.under}: {errno.errorcode[self.error]} {often}"
        return "\n".join([f"seed {self.seed}: {plan}", *self.broken, *self.said])


class Site:
    """A node with two stores and two packages, put back before every case; and a process that forks its commands.

    Parameters
    ----------
    work : Path
        A folder of its own.
    """

    def __init__(self, work: Path) -> None:
        self.folder: Path = work / "site"
        self._template, self._counter = work / "template", work / "count"
        self._library = work / "failing_calls.so"
        self._count_anew()
        build(self._library)
        self._zygote = Zygote(lambda *words: ["env", f"LD_PRELOAD={self._library}", *words])
        self.ids: list[str] = []
        self.payloads: set[str] = set()
        self._usual: dict[tuple[str, str, str], int] = {}
        self._make()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        self._zygote.close()

    def source(self, name: str) -> Path:
        """The folder of a session."""
        return self.folder / "sources" / name

    @property
    def node(self) -> Path:
        """The node's folder."""
        return self.folder / "node"

    # -- making --------------------------------------------------------------------------------------------------------

    def _make(self) -> None:
        self.folder.mkdir()
        for name in ("first", "grown", "new"):
            self._write(self.source(name))
        self._write(self.folder / "watched" / "from the microscope")
        for folder in (self.folder / "watched").rglob("*"):
            os.utime(folder, (1.6e9, 1.6e9))
        self._said("init", self.node, *("--store", self.folder / "main", "--name", "lab", "--user", "alice"),
                   *("--recovery-file", self.folder / "recovery.txt"))  # fmt: skip
        (self.folder / "recovery.txt").rename(self.folder / "moved away.txt")
        self._said("init", "--confirm-recovery")
        self._said("user", "add", "marie")
        self._said("store", "add", self.folder / "second", "--name", "second", "--place", "another disk")
        (self.node / "policy.toml").write_text("[retention]\nyears = 0\n", "utf-8")
        for name in ("first", "grown"):
            said = self._said("archive", self.source(name), "--now", "--as-one", "--json")
            self.ids.append(json.loads(said)["package"]["id"])
        self._write(self.source("grown"), "later.bin")
        self._said("status")
        self.folder.rename(self._template)
        self.put_back()

    def _write(self, folder: Path, *names: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names or ("scan 1.bin", "sub/scan 2.bin", "notes.txt"):
            data = random.Random(f"{folder.name} {name}").randbytes(3000 + len(name))
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
            self.payloads.add(hashlib.sha256(data).hexdigest())

    def _said(self, *words: object) -> str:
        code, said = self.run(words)
        assert code == 0, said
        return said

    def put_back(self) -> None:
        """The site as it was made."""
        if self.folder.exists():
            remove_tree(self.folder)
        shutil.copytree(self._template, self.folder, symlinks=True)

    # -- commands ------------------------------------------------------------------------------------------------------

    def run(self, words: Sequence[object], failing: str = "") -> tuple[int, str]:
        """A command; its code, and what it says. It is ended when its time is over: the code is -9 then."""
        home = self.folder.parent
        variables = {
            name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "DIADEM_DEBUG") if name in os.environ
        }
        variables |= {"HOME": str(home), "DIADEM_CONFIG": str(home / "config"), "DIADEM_CACHE": str(home / "cache")}
        if words[0] != "init" or "--confirm-recovery" in words:
            variables["DIADEM_NODE"] = str(self.node)
        if failing:
            variables["FAILING_CALLS"] = failing
        with (home / "said").open("w+b") as said:
            command = self._zygote.start(
                [str(word) for word in words], cwd=home, env=variables, stdout=said.fileno(), stderr=said.fileno()
            )
            try:
                code = command.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                command.send_signal(9)
                code = command.wait(PATIENCE)
            said.seek(0)
            return code, said.read().decode("utf-8", "backslashreplace")

    def failing(self, words: Sequence[object], call: str, under: str, *more: object) -> tuple[int, str]:
        """A command of which a call fails; `call` may be several sorts, ":" between them."""
        return self.run(words, self._plan(call, under, *more))

    def failing_program(self, words: Sequence[str], call: str, under: str, *more: object) -> tuple[int, str]:
        """The same of any program; what it says as it fails."""
        variables = {**os.environ, "LD_PRELOAD": str(self._library), "FAILING_CALLS": self._plan(call, under, *more)}
        done = subprocess.run(words, check=False, env=variables, capture_output=True, text=True)
        return done.returncode, done.stderr

    def _plan(self, call: str, under: str, *more: object) -> str:
        self._count_anew()
        folders = ":".join(str(self.folder / name) for name in under.split(":"))
        sorts = call.replace(":", ",")
        return ";".join(map(str, (f"calls={sorts}", f"count={self._counter}", f"under={folders}", *more)))

    def _count_anew(self) -> None:
        self._counter.write_bytes(bytes(COUNTERS))

    @property
    def counts(self) -> Sequence[int]:
        """Calls of the last command: all, and then, folder by folder, each sort's."""
        return memoryview(self._counter.read_bytes()).cast("q")

    def calls(self, verb: str, call: str, under: str) -> int:
        """How many calls of a sort a command makes below a folder when nothing fails."""
        places = (*_places(verb), *([under] if under not in _places(verb) else []))
        if (verb, call, under) not in self._usual:
            self.put_back()
            self.prepare(verb)
            self.failing(VERBS[verb][0](self), ":".join(CALLS), ":".join(places), "n=0")
            counts = self.counts
            for number, place in enumerate(places):
                for sort, name in enumerate(CALLS):
                    self._usual[verb, name, place] = counts[1 + 16 * number + sort]
        return self._usual[verb, call, under]

    def prepare(self, verb: str) -> None:
        """What a command needs: something to mend."""
        if verb == "repair":
            hurt = next((self.folder / "second").glob("2*/*first*/data/scan 1.bin"))
            hurt.chmod(0o644)
            hurt.write_bytes(bytes(hurt.stat().st_size))
            remove_tree(next((self.folder / "second").glob("2*/*grown*")))
            self._said_any("scrub")

    def _said_any(self, *words: object) -> None:
        code, said = self.run(words)
        assert code in (0, 1), said

    # -- a case --------------------------------------------------------------------------------------------------------

    def case(self, seed: int) -> Case:
        """One case, from its seed."""
        chance = random.Random(f"failing call {seed}")
        case = Case(seed)
        while not case.number:  # some commands make no call of a sort there
            case.verb = chance.choices(list(VERBS), [weight for _, weight in VERBS.values()])[0]
            case.call = chance.choice(list(CALLS))
            case.under = chance.choice(_places(case.verb))
            calls = self.calls(case.verb, case.call, case.under)
            case.number = chance.randint(1, calls) if calls else 0
        case.error, case.sticky = chance.choice(CALLS[case.call]), chance.random() < 0.4
        self.try_out(case)
        return case

    def try_out(self, case: Case) -> None:
        """Let it happen, and look."""
        self.put_back()
        self.prepare(case.verb)
        words = VERBS[case.verb][0](self)
        sticky = int(case.sticky)
        code, said = self.failing(
            words, case.call, case.under, f"n={case.number}", f"errno={case.error}", f"sticky={sticky}"
        )
        case.code = code
        self._judge(case, code, said, "while it failed")
        code, said = self.run(words)
        self._judge(case, code, said, "afterwards")
        if case.code > 1 and said.startswith("already archived") and said.count(" was there ") == 2:
            case.broken.append(f"what had succeeded ended with {case.code}")
        if code != 0 and not (case.verb in _MAKING and code in (2, 3, 4)):
            case.broken.append(f"afterwards the same command ends with {code}")
        for store in ("main", "second"):
            case.broken += [f"{store}: {fault}" for fault in faults(self.folder / store)]
        self._require_all_there(case)

    def _judge(self, case: Case, code: int, said: str, when: str) -> None:
        case.said.append(f"-- {when}: {code}\n{said}")
        if code == -9:
            case.broken.append(f"{when} it hung for {PATIENCE:.0f} s")
        elif not 0 <= code <= 6:
            case.broken.append(f"{when} it ended with {code}")
        if any(words in said for words in _INTERNAL):
            case.broken.append(f"{when} it was an internal error")
        if any(words in said for words in _UNTRUE):
            case.broken.append(f"{when} it says that what is sound is damaged")
        if code > 1 and "next:" not in said:
            case.broken.append(f"{when} it does not say what to do")

    def _require_all_there(self, case: Case) -> None:
        """Every byte that was archived is still there in a store, unless it was deleted by the command."""
        there = {hashlib.sha256(path.read_bytes()).hexdigest() for name in ("main", "second")
                 for path in (self.folder / name).glob("2*/*/data/**/*") if path.is_file()}  # fmt: skip
        for path in self._template.glob("main/2*/*/data/**/*"):
            gone = path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() not in there
            if gone and not (case.verb == "delete" and "grown" in str(path)):
                case.broken.append(f"LOST: {path.relative_to(self._template)}")


def _places(verb: str) -> Sequence[str]:
    """Where calls of a command may fail: folders of the site, ":" between them."""
    more = {
        "init": ("other node", "other store", "."),
        "archive": ("sources",),
        "continue": ("sources",),
        "watch": ("watched",),
        "get": ("given",),
        "export": (".",),
        "store add": ("third",),
    }
    return (*("node", "main", "second")[: 0 if verb == "init" else 3], *more.get(verb, ()))


def faults(store: Path) -> list[str]:
    """What is wrong with the packages of a store, by their own manifests and SHA-256 alone."""
    found = []
    for bag in store.glob("2*/*"):
        for name in ("tagmanifest-sha256.txt", "manifest-sha256.txt"):
            with contextlib.suppress(FileNotFoundError):
                for line in (bag / name).read_text("utf-8").splitlines():
                    digest, _, path = line.partition("  ")
                    file = bag / path.replace("%25", "%")
                    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                        found.append(f"{bag.name}/{path} is missing or damaged")
                continue
            found.append(f"{bag.name} has no {name}")
    return found
