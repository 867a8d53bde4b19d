"""`diadem watch` on a folder that a slow writer fills, killed and started again at random: no half session, ever.

A writer makes sessions in chunks with pauses, several at a time: files that grow, temporary files that are renamed,
folders in folders. A watcher is killed (SIGKILL) at random instants and started anew. At the end every package of the
store is compared with what the writer says that it has written: its files must be all files of one finished session,
each whole. Where the machine held the writer up for as long as a session has to be silent, that session says nothing
and is not counted. Exit code 1 if one package holds less. ``--too-soon`` lets the writer pause for longer than the
policy asks for: half sessions must then be found, else the harness sees nothing.

The watcher is the command itself, `diadem watch`, in a process of its own; it is forked from one that has imported
everything, so that most kills fall into its work and few into the start of Python. ``--seed`` repeats a run.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine

import diadem
from diadem.cli.main import run as run_command

QUIET = 1.0
#: Longest pause of the writer within a session, in seconds.
PAUSE = 0.35
#: A session within which the writer was held up for longer says nothing.
HELD_UP = 0.9 * QUIET
#: Sessions that are written at a time.
AT_ONCE = 3
#: Files of a package that are not the session's.
_OWN = {"data/diadem-record.json", "data/ro-crate-metadata.json", "data/ro-crate-preview.html"}


@dataclass
class Session:
    """A session that is being written."""

    folder: Path
    random: random.Random
    files: dict[str, str] = field(default_factory=dict)
    last: float = 0.0
    longest: float = 0.0

    def touched(self) -> None:
        """Something was written just now."""
        now = time.monotonic()
        self.longest = max(self.longest, now - self.last) if self.last else 0.0
        self.last = now

    def steps(self) -> Iterator[None]:
        """Write it; a pause may be made after each step."""
        self.folder.mkdir()
        self.touched()
        yield
        for number in range(self.random.randint(2, 5)):
            name = self.random.choice(("", "raw/", "raw/deep/")) + f"scan {number}.bin"
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            yield from self._file(path, name, temporary=self.random.random() < 0.4)
        yield

    def _file(self, path: Path, name: str, *, temporary: bool) -> Iterator[None]:
        target = path.with_name(path.name + (".tmp" if temporary else ""))
        digest = hashlib.sha256()
        for _ in range(self.random.randint(1, 4)):
            data = self.random.randbytes(self.random.randint(1, 60_000))
            with target.open("ab", buffering=0) as file:
                file.write(data)
            digest.update(data)
            self.touched()
            yield
        if temporary:
            target.rename(path)
            self.touched()
        self.files[name] = digest.hexdigest()


def write_sessions(folder: Path, told: Path, seed: int, until: Path, pause: float) -> None:
    """Write sessions until somebody says that it is enough; tell of each what it holds."""
    source = random.Random(seed)
    count = 0
    active: list[tuple[Session, Iterator[None]]] = []
    with told.open("w") as sink:
        while active or not until.exists():
            if len(active) < AT_ONCE and not until.exists():
                session = Session(folder / f"session {count}", random.Random(source.random()))
                active.append((session, session.steps()))
                count += 1
            number = source.randrange(len(active))
            overdue = [at for at, (one, _) in enumerate(active) if one.last and time.monotonic() - one.last > pause / 2]
            session, steps = active[overdue[0] if overdue else number]
            if next(steps, steps) is steps:
                active.remove((session, steps))
                name = session.folder.name
                sink.write(json.dumps({"session": name, "files": session.files, "longest": session.longest}) + "\n")
                sink.flush()
            time.sleep(source.uniform(0, pause / AT_ONCE / 2))


def forked(work: Any, *arguments: Any) -> int:
    """Do some work in a process of its own; its number."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        work(*arguments)
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        os._exit(code)
    return 0


def watcher(node: Path, log: Path) -> None:
    """Be `diadem watch`."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    run_command(["watch", "--every", "1", "--node", str(node)])


def try_it(work: Path, *, restarts: int, seed: int, quiet: float, pause: float) -> dict[str, Any]:
    """One run; what was seen."""
    os.environ["DIADEM_CONFIG"], os.environ["DIADEM_CACHE"] = str(work / "config"), str(work / "cache")
    folder, told, enough, log = work / "titan", work / "told.jsonl", work / "enough", work / "watch.log"
    folder.mkdir()
    with diadem.Node.create(work / "node", name="bench", user="eve", store=str(work / "store")) as node:
        (node.path / "policy.toml").write_text(f'[archive]\nquiet = "{quiet} s"\n[copies]\nminimum = 1\n')
        node.watched.add(folder)
    writer = forked(write_sessions, folder, told, seed, enough, pause)
    source = random.Random(seed + 1)
    killed = 0
    process = 0
    try:
        for _ in range(restarts):
            process = forked(watcher, work / "node", log)
            time.sleep(source.uniform(0.1, 1.1))
            os.kill(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
            killed += os.WIFSIGNALED(status)
        process = forked(watcher, work / "node", log)  # this one sees the last sessions to their end
    finally:
        enough.touch()
        os.waitpid(writer, 0)
    sessions = [json.loads(line) for line in told.read_text().splitlines()]
    wait_for(work / "node", len(sessions), 60.0 + 5 * len(sessions))
    os.kill(process, signal.SIGTERM)
    began = time.monotonic()
    _, status = os.waitpid(process, 0)
    return {
        "killed": killed,
        "ended": os.waitstatus_to_exitcode(status),
        "end_seconds": round(time.monotonic() - began, 3),
        **judged(work / "store", sessions, HELD_UP if pause < HELD_UP else float("inf")),
    }


def wait_for(node: Path, sessions: int, patience: float) -> None:
    """Wait until the watcher has archived everything."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        for path in (node / "watch").glob("*.json"):
            with contextlib.suppress(ValueError):
                notes = json.loads(path.read_text()).get("sessions", {}).values()
                if [note["state"] for note in notes] == ["archived"] * sessions:
                    return
        time.sleep(0.2)


def judged(store: Path, sessions: list[dict[str, Any]], held_up: float) -> dict[str, Any]:
    """Every package beside the session it is of."""
    counted = {one["session"]: one["files"] for one in sessions if one["longest"] < held_up}
    known = {digest: one["session"] for one in sessions for digest in one["files"].values()}
    half: list[str] = []
    packages: dict[str, int] = dict.fromkeys(counted, 0)
    for manifest in sorted(store.glob("*/*/manifest-sha256.txt")):
        lines = [line.split("  ", 1) for line in manifest.read_text().splitlines()]
        files = {path.removeprefix("data/"): digest for digest, path in lines if path not in _OWN}
        names = {known.get(digest) for digest in files.values()}
        session = names.pop() if len(names) == 1 else None
        if not diadem.verify(manifest.parent, level="full").ok:
            half.append(f"{manifest.parent.name} is damaged")
        elif session is None:
            half.append(f"{manifest.parent.name} holds files of no session, or of several")
        elif session in counted:
            packages[session] += 1
            if files != counted[session]:
                half.append(f"{session}: {sorted(files)} of {sorted(counted[session])}")
    missing = sorted(session for session, number in packages.items() if not number)
    twice = sorted(session for session, number in packages.items() if number > 1)
    return {
        "sessions": len(sessions),
        "counted": len(counted),
        "half": half,
        "missing": missing,
        "twice": twice,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--too-soon", action="store_true", help="let the rule be wrong: the harness must notice")
    parser.add_argument("--work", type=Path, help="a folder that may be filled and emptied")
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    options = parser.parse_args()
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        began = time.monotonic()
        quiet, pause = (0.2, 4.0) if options.too_soon else (QUIET, PAUSE)
        found = try_it(Path(folder), restarts=options.restarts, seed=options.seed, quiet=quiet, pause=pause)
        seconds = round(time.monotonic() - began, 1)
        if found["half"] or found["missing"]:
            shutil.copyfile(Path(folder) / "watch.log", "watch-restarts.log")
        for path in (Path(folder) / "store").rglob("*"):  # packages are read-only
            if path.is_dir():
                path.chmod(0o755)
    print("| restarts | sessions | counted | half | missing | twice | end | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    numbers = [len(found[key]) for key in ("half", "missing", "twice")]
    row = [options.restarts, found["sessions"], found["counted"], *numbers]
    print("| " + " | ".join(map(str, [*row, f"{found['end_seconds']} s", seconds])) + " |")
    for words in (*found["half"], *(f"{name} is in no package" for name in found["missing"])):
        print(words)
    if options.json:
        document = {
            "machine": machine.describe(Path(tempfile.gettempdir())),
            "seed": options.seed,
            "restarts": options.restarts,
            **found,
        }
        options.json.write_text(json.dumps(document, indent=1))
    return 1 if found["half"] or found["missing"] or found["twice"] else 0


if __name__ == "__main__":
    sys.exit(main())
