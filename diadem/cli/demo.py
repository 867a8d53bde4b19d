"""`diadem demo`: the main job on files it makes itself, with the calls that a user makes, and a node to look at."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from diadem.cli.archive import archived_lines
from diadem.cli.options import Argument, Option
from diadem.cli.output import progress, tell_all
from diadem.cli.packages import report_lines
from diadem.cli.verb import Commands
from diadem.errors import DiademError, Refused, UsageError
from diadem.model.plain_text import count_text, quoted, size_text

if TYPE_CHECKING:
    from diadem.api.nodes import Node

root = Commands()
#: Says to whoever finds the folder what it is, and to us that we may remove it.
MARK: Final = "READ ME.txt"
_MADE: Final = "Made by `diadem demo`, to try things out. Nothing in here was measured.\n"
_UNFINISHED: Final = "It is not finished: give the same command again.\n"
_CONTENTS: Final = """
session, 2026-…    what two microscopes might have left: three sessions, of the samples S-12 and S-15
node               an archive: settings, keys of its own, catalogue, log; its recovery file is beside it
archive, mirror    its two stores, one package a session (the second only pretends to be another disk)
damaged copy       a package in which one byte was changed

Remove it:         diadem demo FOLDER --remove
"""
_PEOPLE: Final = [{"name": "A. Example", "role": "operator"}]
#: Sessions beside the first: sample, day.
_OTHERS: Final = (("S-12", "2026-03-21"), ("S-15", "2026-03-28"))


@root.verb(plain=True)
def demo(
    folder: Annotated[Path | None, Argument("Where to work; a new folder. Default: a temporary one.")] = None,
    keep: Annotated[bool, Option("Keep the temporary folder.")] = False,
    remove: Annotated[bool, Option("Remove a demo's folder.")] = False,
) -> int:
    """Try it: make sessions and an archive, damage a copy, search."""
    if remove:
        if folder is None:
            raise UsageError("the demo's folder is needed", next="Example: diadem demo try --remove")
        if _finished(folder) is None:
            raise Refused("this is not a demo", where=str(folder), next="Remove by hand what is not wanted.")
        _clear(folder)
        print(f"{folder} is gone.")
        return 0
    if folder is None:
        home = Path(tempfile.mkdtemp(prefix="diadem-demo-"))
        try:
            _run(home)
            if keep:
                _tell_next(home)
        finally:
            if not keep:
                _clear(home)
                print("\nThe files are gone again; `diadem demo FOLDER` keeps them, with an archive to look at.")
        return 0
    finished = _finished(folder)
    if finished is False:  # it was stopped, and holds nothing that cannot be made again
        _clear(folder)
    if finished:
        _tell_there(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise Refused("the folder is not empty", where=str(folder), next="Name a new folder.")
    else:
        _run(folder)
    _tell_next(folder)
    return 0


def _finished(folder: Path) -> bool | None:
    """Whether the demo in a folder was made to its end; None where there is none."""
    mark = folder / MARK
    text = mark.read_text("utf-8", "replace") if mark.is_file() else ""
    return _UNFINISHED not in text if text.startswith(_MADE) else None


def _run(home: Path) -> None:
    import diadem
    from diadem.testing.faults import flip_byte
    from diadem.testing.samples import write_image_session, write_session

    home.mkdir(parents=True, exist_ok=True)
    (home / MARK).write_text(_MADE + _UNFINISHED, "utf-8")
    session = home / "session"
    print("1  A session as a microscope leaves it")
    write_session(session)
    for path in sorted(session.iterdir()):
        size = path.stat().st_size if path.is_file() else sum(part.stat().st_size for part in path.rglob("*"))
        print(f"     {path.name:30} {size_text(size)}")

    print("\n2  Make an archive, and archive the session: diadem init, diadem archive session", flush=True)
    with _new_node(home) as node:
        with progress(quiet=False) as listener:
            metadata = {"session": {"title": "ZnO grain boundary"}, "sample": {"name": "S-12"}, "people": _PEOPLE}
            archived = node.archive(session, metadata=metadata, now=True, listener=listener)
        tell_all(archived_lines(archived.to_dict()))
        package = archived.package

        print("\n3  Prove it intact: diadem verify PACKAGE")
        report = package.verify(level="full")
        tell_all(report_lines(report))
        report.raise_for_findings()

        print("\n4  Change one byte in a copy, and verify the copy")
        damaged = home / "damaged copy"
        shutil.copytree(package.url, damaged)
        victim = max(package.files, key=lambda entry: entry.size)
        flip_byte(damaged / victim.path, victim.size // 2)
        found = diadem.verify(damaged)
        tell_all(report_lines(found))
        if found.ok:
            raise DiademError("the changed byte was not found", where=str(damaged))

        print("\n5  Open a signal from the archive: package.load('haadf_overview.tif')")
        print(f"     {package.load('haadf_overview.tif')}")
        print(f"     of the damaged copy {_try_damaged(damaged, victim.name)}")

        print("\n6  More sessions, and a search: diadem search 'HAADF sample:S-12 voltage=300kV'", flush=True)
        for number, (sample, day) in enumerate(_OTHERS):
            source = home / f"{day} {sample} at 300 kV"
            write_image_session(source, sample=sample, date=day, seed=number)
            node.archive(source, metadata={"sample": {"name": sample}, "people": _PEOPLE}, now=True)
        for row in node.search("HAADF sample:S-12 voltage=300kV"):
            for dataset in row.matched:
                print(f"     {dataset.path}")
    (home / MARK).write_text(_MADE + _CONTENTS, "utf-8")


def _new_node(home: Path) -> Node:
    """An archive that is nobody's default, with all of it in the demo's folder: keys, catalogue, two stores."""
    from diadem.api.nodes import Node

    node = Node.create(
        home / "node",
        name="demo",
        user="alice",
        full_name="Alice Example",
        store=str((home / "archive").absolute()),
        catalogue="file",
    )
    for sample, name in (("S-12", "ZnO film"), ("S-15", "ZnO film, annealed")):
        node.samples.add(sample, name=name)
    node.stores.add(str((home / "mirror").absolute()), name="mirror", place="another disk, in this demo")
    return node


def _try_damaged(folder: Path, name: str) -> str:
    """What happens when the damaged file is read."""
    import diadem

    try:
        with diadem.open(folder).open(name) as source:
            source.read()
    except diadem.DigestMismatch as error:
        return f"nothing is returned: {error.message}"
    raise DiademError("a damaged file was read without an error", where=name)


def _tell_there(folder: Path) -> None:
    from diadem.api.nodes import open_node

    with open_node(folder) as node:
        found = node.search()
        print(f"The demo is there already: {count_text(found.total, 'session')} in the archive {node.name}.")
        for row in found:
            print(f"     {row.date}  {row.title}")


def _tell_next(folder: Path) -> None:
    name = quoted(folder)
    print("\nNext")
    print(f"     diadem page {name}   the archive in your browser: look for the HAADF image of S-12 at 300 kV")
    print(f"     diadem search 'HAADF sample:S-12 voltage=300kV' --node {name}")
    print(f"     diadem demo {name} --remove   removes everything again")
    print(f"Everything is in {folder}")


def _clear(folder: Path) -> None:
    """Remove a demo's folder; what is archived is read-only."""
    from diadem.testing.faults import remove

    remove(folder)
