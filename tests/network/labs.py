"""The page about two labs is run: each lab's commands in a namespace, a home and processes of its own.

A code block ``labs`` holds commands after the name of a lab and ``$``, and what they print. A command that ends with
``&`` goes on; the block ends it with ``kill``; ``cut`` and ``join`` take the cable of a lab away and put it back. What
differs from run to run is not compared: see `tests.consoles`, and tickets, words and rates.
``python -m tests.network.labs docs/two-labs.md`` writes into the page what comes out now.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.consoles import comparable
from tests.namespaces import Site, Star, star, wire
from tests.zygote import Zygote

_BLOCK = re.compile(r"^```labs\n(?P<shown>.*?)^```$|^<!-- labs\n(?P<hidden>.*?)^-->$", re.DOTALL | re.MULTILINE)
_STEP = re.compile(r"^(?P<lab>[a-z-]+)\$ (?P<command>.*)\n", re.MULTILINE)
#: Ids; a day in a name has no letters.
_HEX = re.compile(r"(?<![0-9a-zA-Z-])(?=[0-9]*[a-f])[0-9a-f]{8,64}(?![0-9a-zA-Z])")
_WORDS = re.compile(r"(?<=^words {12}).*$|(?<=words: )[a-z]+(?: [a-z]+){5}$", re.MULTILINE)
_SPOKEN = re.compile(r'(?<=--words ")[^"]*')
_TICKET = re.compile(r"diadem1:[A-Za-z0-9_=-]*…?")
_MASKS = (
    (re.compile(r"\bSIZE/s\b|\bat SIZE a second\b"), "RATE"),
    (re.compile(r"\bsha256:[A-Za-z0-9+/=]+"), "PIN"),
    (re.compile(r"words: [ a-z]+? (?=then:)"), "words: WORDS "),
)
#: What only a shell understands.
_SHELL = re.compile(r"[|;<>*&$`]")
_NOWHERE = " > /dev/null"
#: Seconds for a command, and for a server to listen.
_PATIENCE = 120


@dataclass
class Lab:
    """A home of its own, and where its programs run.

    Attributes
    ----------
    home : Path
        Where its people work.
    site : Site or None
        The namespace; None for one without any network but its own loopback.
    zygote : Zygote or None
        What starts its commands; None where each is a process from its beginning.
    """

    home: Path
    site: Site | None
    zygote: Zygote | None = None

    def given(self, command: str) -> tuple[int, str]:
        """Give a command; its code, and everything that it prints."""
        shown = command.removesuffix(_NOWHERE)
        if self.zygote is not None and shown.startswith("diadem ") and not _SHELL.search(shown):
            words = shlex.split(shown)[1:]
            code, text = self.zygote.run(words, cwd=self.home, env=self.environment(), timeout=_PATIENCE)
            return code, "" if shown != command and not code else text
        done = subprocess.run(
            self.words(command),
            cwd=self.home,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout.decode("utf-8", "backslashreplace")

    def environment(self) -> dict[str, str]:
        """Variables of its people; `diadem` is the one that is tested."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("DIADEM_", "PYTHONUNBUFF"))}
        own = {"HOME": str(self.home), "DIADEM_CONFIG": str(self.home / ".config"), "LC_ALL": "C.UTF-8"}
        own |= {"DIADEM_CACHE": str(self.home / ".cache")}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return {**kept, **own, "PATH": path, "COLUMNS": "200"}

    def words(self, command: str) -> list[str]:
        """A command of a shell, run there."""
        shell = ["sh", "-c", command]
        return self.site.words(*shell) if self.site else ["unshare", "--net", *shell]


@dataclass
class Labs:
    """All of them, and what one learns from the outputs of the other: ids and tickets."""

    labs: Mapping[str, Lab]
    star: Star | None = None
    ids: dict[str, str] = field(default_factory=dict)
    ticket: str = ""
    words: str = ""
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, lab: str, command: str) -> str:
        """Give a command at a lab; what it prints."""
        there = self.labs[lab]
        command = _SPOKEN.sub(self.words, command)
        real = _HEX.sub(lambda found: self.own(found[0]), _TICKET.sub(lambda _: self.ticket, command))
        for name, other in self.labs.items():
            real = real.replace(f"/{name}/", f"{other.home}/")
        if real.endswith("&"):
            return self._start(there, real.removesuffix("&").strip())
        if real == "kill":
            self.end()
            return ""
        if real in ("cut", "join"):
            assert self.star is not None
            assert there.site is not None
            (self.star.cut if real == "cut" else self.star.join)(there.site)
            return ""
        code, text = there.given(real)
        for name, other in self.labs.items():
            text = text.replace(f"{other.home}", f"/{name}")
        if found := _TICKET.search(text):
            self.ticket = found[0]
        if found := _WORDS.search(text):
            self.words = found[0]
        if code:
            text += f"(code {code})\n"
        return text

    def _start(self, there: Lab, command: str) -> str:
        log = there.home / "serve.log"
        with log.open("wb") as sink:
            self.running.append(
                subprocess.Popen(
                    there.words(f"exec {command}"),
                    cwd=there.home,
                    env=there.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                )
            )
        end = time.monotonic() + _PATIENCE
        while "listening" not in log.read_text("utf-8", "replace") and time.monotonic() < end:
            assert self.running[-1].poll() is None, log.read_text("utf-8", "replace")
            time.sleep(0.05)
        return ""

    def own(self, shown: str) -> str:
        """The id of this run for one that the page shows, as much of it."""
        return next((own[: len(shown)] for known, own in self.ids.items() if known.startswith(shown)), shown)

    def learn(self, shown: str, came: str) -> None:
        """Remember which id of this run stands for which one of the page."""
        for known, own in zip(_HEX.findall(shown), _HEX.findall(came), strict=False):
            self.ids.setdefault(known, own)

    def end(self) -> None:
        """End what still runs."""
        while self.running:
            one = self.running.pop()
            one.send_signal(signal.SIGTERM)
            one.wait(_PATIENCE)

    def __enter__(self) -> Self:
        """The labs themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        for lab in self.labs.values():
            if lab.zygote is not None:
                lab.zygote.close()


def steps(block: str) -> Iterator[tuple[str, str, str]]:
    """Lab, command and shown output of each step."""
    found = list(_STEP.finditer(block))
    for at, step in enumerate(found):
        stop = found[at + 1].start() if at + 1 < len(found) else len(block)
        yield step["lab"], step["command"], block[step.end() : stop]


def alike(shown: str, came: str) -> bool:
    """Whether two outputs say the same."""
    return _plain(shown) == _plain(came)


def _plain(text: str) -> str:
    text = comparable(_TICKET.sub("TICKET", _WORDS.sub("WORDS", text)))
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text


def differences(page: str, labs: Labs) -> Iterator[str]:
    """Give all commands of a page; yields what comes out otherwise than shown."""
    for block in _BLOCK.finditer(page):
        for lab, command, _ in steps(block["hidden"] or ""):
            came = labs.run(lab, command)
            assert "(code " not in came, f"{lab}$ {command}\n{came}"
        for lab, command, shown in steps(block["shown"] or ""):
            came = labs.run(lab, command)
            labs.learn(shown, came)
            if not alike(shown, came):
                yield f"{lab}$ {command}\n--- the page shows\n{shown}--- there comes\n{came}"


def rewritten(page: str, labs: Labs) -> str:
    """The page with what its commands print now."""

    def fresh(block: re.Match[str]) -> str:
        if block["hidden"] is not None:
            for lab, command, _ in steps(block["hidden"]):
                labs.run(lab, command)
            return block[0]
        parts = []
        for lab, command, shown in steps(block["shown"]):
            came = labs.run(lab, command)
            labs.learn(shown, came)
            lines = [_TICKET.sub(_short, line.rstrip()) for line in came.splitlines()]
            typed = _SPOKEN.sub(labs.words, _TICKET.sub(_short, command))
            parts.append(f"{lab}$ {typed}\n" + "".join(f"{line}\n" for line in lines))
        return f"```labs\n{''.join(parts)}```"

    return _HEX.sub(lambda found: labs.own(found[0]), _BLOCK.sub(fresh, page))


def _short(found: re.Match[str]) -> str:
    return found[0] if found[0].endswith("…") else f"{found[0][:24]}…"


def places(folder: Path, one: Site, two: Site, hub: Site | None = None) -> dict[str, Lab]:
    """The labs of a page: two with a wire or a hub between them, and a reader without any network."""
    made = {"hu-berlin": Lab(folder / "a", one), "nmi": Lab(folder / "b", two), "third": Lab(folder / "c", None)}
    if hub is not None:
        made["institute"] = Lab(folder / "h", hub)
    for lab in made.values():
        lab.home.mkdir()
        lab.zygote = Zygote(lab.site.words) if lab.site is not None else None
    return made


def main(paths: list[str]) -> None:
    """Write into pages what comes out."""
    for path in paths:
        page, folder = Path(path), Path(tempfile.mkdtemp(prefix="labs-"))
        text = page.read_text("utf-8")
        with ExitStack() as stack:
            if "institute$" in text:
                around = stack.enter_context(star())
                made = Labs(places(folder, around.one, around.two, around.hub), around)
            else:
                line = stack.enter_context(wire())
                made = Labs(places(folder, line.one, line.two))
            page.write_text(rewritten(text, stack.enter_context(made)), "utf-8")
        for item in folder.rglob("*"):
            item.chmod(0o755 if item.is_dir() else 0o644)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
