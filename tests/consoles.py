"""Pages are run: the commands of their consoles are given, in order, and what comes out is what they show.

A code block ``console`` holds commands after ``$`` and their output. A comment ``<!-- console … -->`` holds commands
that are run and not shown. Places of the pages stand for folders of the test: ``/home/alice`` is the home of who types,
``/data`` lies on the same disk, ``/media/usb`` on another one. What differs from run to run is not compared: ids, keys,
times, sizes, and where lines are folded.

``python -m tests.consoles docs/first-archive.md`` writes into a page what its commands print now.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(?P<shown>.*?)^```$|^<!-- console\n(?P<hidden>.*?)^-->$", re.DOTALL | re.MULTILINE)
#: Real files of instruments, where they lie beside the checkout.
SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
#: Home, a disk of the machine, another disk.
PLACES = ("/home/alice", "/data", "/media/usb")
#: What only a shell understands.
_SHELL = re.compile(r"[|;<>*&$`]")
_HEX = re.compile(r"(?<![0-9a-zA-Z-])[0-9a-f]{8,64}(?![0-9a-zA-Z])|(?<=-)[0-9a-f]{12}(?![0-9a-zA-Z])")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
#: What differs from run to run, and what stands for it in a comparison.
_MASKS = tuple(
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"ed25519:[A-Za-z0-9+/]{43}=", "KEY"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
        (rf"[0-9]{{1,2}} (?:{_MONTHS}) [0-9]{{4}}, [0-9:]{{5}} UTC", "MOMENT"),
        (r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?Z?", "MOMENT"),
        (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "DAY"),
        (r"\b20[0-9]{2}/(?=[0-9]{8}-)", "YEAR/"),
        (r"[0-9.]+ [kMGT]?B\b", "SIZE"),
        (r"[0-9,]+ bytes\b", "BYTES"),
        (r"(?:[0-9]+ (?:h|min) )?[0-9]+ (?:s|min)\b", "SPAN"),
        (r"[0-9]+ seconds? ago", "AGO"),
        (r"SIZE free on [\w-]+(?:, more on the others)?", "SPACE"),
        (r"the machine '[^']*'", "the machine"),
        (r"\([^()]*, …\)", "(FILES)"),
    )
)


@dataclass
class Shell:
    """Somebody who types at the machine of a page.

    Parameters
    ----------
    places : mapping of str to Path
        Folders of the page, and where they are.
    """

    places: Mapping[str, Path]
    ids: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    code: int = 0

    @property
    def _home(self) -> Path:
        return self.places["/home/alice"]

    def environment(self) -> dict[str, str]:
        """Variables of the person; `diadem` is the one that is tested."""
        return {
            **{name: text for name, text in os.environ.items() if not name.startswith("DIADEM_")},
            "HOME": str(self._home),
            "DIADEM_CONFIG": str(self._home / ".config" / "diadem"),
            "DIADEM_CACHE": str(self._home / ".cache" / "diadem"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "LC_ALL": "C.UTF-8",
            **self.variables,
        }

    def run(self, command: str) -> str:
        """Give a command; what it prints, with the places as the page names them."""
        if command == "echo $?":
            return f"{self.code}\n"
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.variables[name] = value
            self.code = 0
            return ""
        real = _HEX.sub(lambda found: self.own(found[0]), command)
        for shown, place in self.places.items():
            real = re.sub(rf"(?<![\w*/.-]){re.escape(shown)}(?![\w.-])", str(place).replace("\\", r"\\"), real)
        if real.startswith("diadem ") and not _SHELL.search(real):
            self.code, text = self._diadem(shlex.split(real)[1:])
        else:
            done = subprocess.run(
                ["sh", "-c", real],
                cwd=self._home,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            self.code, text = done.returncode, done.stdout.decode("utf-8", "backslashreplace")
        for shown, place in sorted(self.places.items(), key=lambda item: -len(str(item[1]))):
            text = text.replace(str(place), shown)
        return text

    def own(self, shown: str) -> str:
        """The id of this run for one that a page shows, as much of it."""
        return next((own[: len(shown)] for known, own in self.ids.items() if known.startswith(shown)), shown)

    def _diadem(self, arguments: list[str]) -> tuple[int, str]:
        words = [f"{self._home}{word[1:]}" if word.startswith("~/") else word for word in arguments]
        return given_here(words, self.environment(), self._home)

    def learn(self, shown: str, came: str) -> None:
        """Remember which id of this run stands for which one of the page."""
        for known, own in zip(_HEX.findall(shown), _HEX.findall(came), strict=False):
            self.ids.setdefault(known, own)


def given_here(words: list[str], environment: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Give a command of `diadem` in this process, as somebody in a folder; its code, and everything that it prints."""
    from diadem.cli import main

    stream, code = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True), 0
    with as_person(environment, folder), contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        try:
            main.run(words)
        except SystemExit as ended:
            code = int(ended.code or 0)
    stream.seek(0)
    return code, stream.read()


@contextlib.contextmanager
def as_person(environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    """In a folder, with variables; all is as it was afterwards, signals too."""
    before, stdin, here = dict(os.environ), sys.stdin, Path.cwd()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    try:
        with open(os.devnull, encoding="utf-8") as nothing:
            sys.stdin = nothing
            yield
    finally:
        sys.stdin = stdin
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def comparable(text: str) -> str:
    """A text without what differs from run to run."""
    for pattern, mask in _MASKS[:2]:
        text = pattern.sub(mask, text)
    text = " ".join(_HEX.sub("ID", text).split())  # before sizes and moments are looked for: a line may end in one
    for pattern, mask in _MASKS[2:]:
        text = pattern.sub(mask, text)
    return text


def steps(block: str) -> Iterator[tuple[str, str]]:
    """Commands of a console, each with the output that is shown."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def differences(page: str, shell: Shell) -> Iterator[str]:
    """Give all commands of a page; yields what comes out otherwise than shown."""
    for block in _BLOCK.finditer(page):
        for command in (block["hidden"] or "").splitlines():
            text = shell.run(command)
            assert shell.code == 0, f"{command}\n{text}"
        for command, shown in steps(block["shown"] or ""):
            came = shell.run(command)
            shell.learn(shown, came)
            if comparable(shown) != comparable(came):
                yield f"$ {command}\n--- the page shows\n{shown}--- there comes\n{came}"


def rewritten(page: str, shell: Shell) -> str:
    """A page with what its commands print now."""

    def fresh(block: re.Match[str]) -> str:
        for command in (block["hidden"] or "").splitlines():
            shell.run(command)
        if block["hidden"] is not None:
            return block[0]
        parts = []
        for command, shown in steps(block["shown"]):
            came = shell.run(command)
            shell.learn(shown, came)
            parts.append(f"$ {command}\n" + "".join(f"{line.rstrip()}\n" for line in came.splitlines()))
        return f"```console\n{''.join(parts)}```"

    return _HEX.sub(lambda found: shell.own(found[0]), _BLOCK.sub(fresh, page))


def main(paths: list[str]) -> None:
    """Write what comes out into pages; on a machine that has their places lines are folded as the pages name them."""
    for path in paths:
        page = Path(path)
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory(dir=other_disk()) as second:
            places = {name: Path(name) for name in PLACES}
            if not all(place.is_dir() for place in places.values()):
                places = places_in(Path(first), Path(second))
            if SHARED_DATA.is_dir():
                lay_out_sessions(places["/data"] / "em", SHARED_DATA)
            page.write_text(rewritten(page.read_text("utf-8"), Shell(places)), "utf-8")


def places_in(first: Path, second: Path) -> dict[str, Path]:
    """The places of pages, made in two folders."""
    places = dict(zip(PLACES, (first / "home", first / "data", second / "usb"), strict=True))
    for place in places.values():
        place.mkdir()
    return places


#: Sessions that a page may find at ``/data/em``, and the real files in each.
SESSIONS = {
    "Titan HAADF": ("dm/Fei HAADF-DE_location.dm3", "dm/Fei HAADF-MX_location.dm3"),
    "Titan EELS": ("dm/EELS_SI.dm4",),
    "Titan STEM": (
        "tia/Titan_TEM_1_STEM_image_dataZeroed.emi",
        "tia/Titan_TEM_1_STEM_image_dataZeroed_1.ser",
        "tia/Titan_TEM_1_STEM_image_dataZeroed_2.ser",
    ),
    "Talos EDS": ("emd-velox/fei_emd_image.emd", "emd-velox/fei_emd_si.emd"),
}


def lay_out_sessions(target: Path, data: Path) -> None:
    """Copy real files, packed or not, into folders as people keep them."""
    for name, files in SESSIONS.items():
        (target / name).mkdir(parents=True)
        for file in files:
            source, place = data / file, target / name / Path(file).name
            if source.exists():
                shutil.copyfile(source, place)
            else:
                with gzip.open(f"{source}.gz") as packed, place.open("wb") as sink:
                    shutil.copyfileobj(packed, sink)


def other_disk() -> str | None:
    """A folder on another file system than that of temporary files, where there is one."""
    for other in (Path("/dev/shm"), Path("/var/tmp")):
        if os.access(other, os.W_OK) and other.stat().st_dev != Path(tempfile.gettempdir()).stat().st_dev:
            return str(other)
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
