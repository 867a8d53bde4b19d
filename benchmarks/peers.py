"""The programs DIADEM is measured against, and DIADEM itself, as things to be timed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from timing import Contender, Run, run

from diadem.testing.faults import remove

HERE = Path(__file__).resolve().parent
CORES = os.cpu_count() or 1
#: What a peer needs on the PATH, and the command that tells its version.
PROGRAMS = {
    "cp": ("cp", "--version"),
    "sha256sum": ("sha256sum", "--version"),
    "b3sum": ("b3sum", "--version"),
    "bagit.py": ("bagit.py", "--version"),
    "git-annex": ("git-annex", "version", "--raw"),
}


def find(program: str) -> str | None:
    """Path of a program: beside the interpreter first, then on the PATH."""
    return shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)


def versions() -> dict[str, str]:
    """First line of each peer's version, or "not installed"."""
    found = {}
    for name, (program, *arguments) in PROGRAMS.items():
        path = find(program)
        said = run([path, *arguments]).output.strip() if path else ""
        found[name] = (said.splitlines()[0] if said else "no version told") if path else "not installed"
    return found


def diadem(work: Path, *arguments: str | Path, allowed: tuple[int, ...] = (0,)) -> tuple[Run, dict[str, Any]]:
    """Run DIADEM in a process of its own; the run, and what the process noted about itself."""
    note = work / "note.json"
    done = run([sys.executable, HERE / "child.py", note, *arguments], allowed=allowed)
    facts: dict[str, Any] = json.loads(note.read_text())
    return done, facts


def _shell(script: str, *arguments: Path, environment: dict[str, str] | None = None) -> Callable[[], Run]:
    """A shell script; its arguments are $1, $2 … and never parsed."""
    env = {**os.environ, **(environment or {})}
    return lambda: run(["sh", "-euc", script, "sh", *arguments], env=env)


def _cleared(folder: Path) -> Callable[[], None]:
    def clear() -> None:
        for _ in range(20):  # git-annex may still tidy up behind our back
            try:
                if folder.exists():
                    remove(folder)
            except FileNotFoundError:
                continue
            return

    return clear


def copy(source: Path, target: Path) -> Contender:
    """A plain copy and one sync of its file system."""
    return Contender("cp + sync", _shell('cp -r "$1" "$2" && sync -f "$2"', source, target), _cleared(target))


def sha256sum(source: Path) -> Contender:
    """SHA-256 of every file, one thread."""
    return Contender("sha256sum", _shell('find "$1" -type f -print0 | xargs -0 sha256sum > /dev/null', source))


def b3sum(source: Path, files: int) -> Contender:
    """BLAKE3 of every file on all cores: inside the one file, or one file a core."""
    script = 'find "$1" -type f -print0 | xargs -0 b3sum > /dev/null'
    if files > 1:
        share = max(1, -(-files // (2 * CORES)))
        script = f'find "$1" -type f -print0 | xargs -0 -n {share} -P {CORES} b3sum --num-threads 1 > /dev/null'
    return Contender("b3sum", _shell(script, source))


def bagit_create(source: Path, target: Path, rounds: int) -> Contender:
    """A copy, then bagit.py in place on it (it bags nothing but its own folder), SHA-256, all cores, one sync."""
    program = shlex.quote(find("bagit.py") or "bagit.py")
    script = f'cp -r "$1" "$2" && {program} --quiet --sha256 --processes {CORES} "$2" && sync -f "$2"'
    return Contender("cp + bagit.py", _shell(script, source, target), _cleared(target), rounds=rounds)


def bagit_validate(bag: Path, rounds: int) -> Contender:
    """bagit.py on the bag that DIADEM made, all cores."""
    program = shlex.quote(find("bagit.py") or "bagit.py")
    script = f'{program} --quiet --validate --processes {CORES} "$1"'
    return Contender("bagit.py --validate", _shell(script, bag), rounds=rounds)


def git_annex(source: Path, target: Path, rounds: int) -> Contender:
    """A copy into a new repository, `git annex add`, commit, one sync."""
    script = (
        'mkdir "$2" && cd "$2" && git init -q && git annex init -q bench && cp -r "$1" data && '
        f'git annex add --quiet --jobs={CORES} data && git commit -q -m archive && sync -f "$2"'
    )
    identity = {"GIT_AUTHOR_NAME": "b", "GIT_AUTHOR_EMAIL": "b@example.org"}
    identity |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in identity.items()}
    return Contender("git-annex", _shell(script, source, target, environment=identity), _cleared(target), rounds=rounds)


def installed(contenders: list[tuple[str, Contender]]) -> list[Contender]:
    """Those whose program (the first of each pair) is there."""
    return [replace(one) for program, one in contenders if find(program)]
