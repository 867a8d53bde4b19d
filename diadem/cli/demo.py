"""`diadem demo`: the main job on files it makes itself, with the same calls that a user makes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from diadem.cli import render
from diadem.cli.output import progress, size_text
from diadem.errors import DiademError, Refused

_METADATA = {
    "session": {"title": "ZnO grain boundary", "project": "demo"},
    "sample": {"name": "S-12", "identifier": "S-12"},
    "people": [{"name": "Demo User", "role": "operator"}],
}


def run_demo(folder: Path | None, *, keep: bool) -> int:
    """Run the demo in a new folder; remove it afterwards unless it was named or is to be kept."""
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise Refused("the folder is not empty", where=str(folder), next="Name a new folder.")
    home = Path(tempfile.mkdtemp(prefix="diadem-demo-")) if folder is None else folder
    try:
        return _run(home)
    finally:
        if folder is None and not keep:
            _remove(home)
            print("The files are gone again; `diadem demo FOLDER` keeps them.")
        else:
            print(f"\nEverything is in {home}")


def _run(home: Path) -> int:
    import diadem
    from diadem.testing.faults import flip_byte
    from diadem.testing.samples import write_session

    session = home / "session"
    print("1  A session as a microscope leaves it")
    write_session(session)
    for path in sorted(session.iterdir()):
        size = path.stat().st_size if path.is_file() else sum(part.stat().st_size for part in path.rglob("*"))
        print(f"     {path.name:30} {size_text(size)}")

    print("\n2  Archive it: diadem pack session archive")
    with progress(quiet=False) as listener:
        package = diadem.pack(session, home / "archive", metadata=_METADATA, listener=listener)
    render.packed(render.packed_document(package))

    print("\n3  Prove it intact: diadem verify PACKAGE")
    report = diadem.verify(package, level="full")
    render.report(report)
    report.raise_for_findings()

    print("\n4  Flip one byte in a copy, and verify the copy")
    damaged = home / "damaged copy"
    shutil.copytree(package.url, damaged)
    victim = max(package.files, key=lambda entry: entry.size)
    flip_byte(damaged / victim.path, victim.size // 2)
    found = diadem.verify(damaged)
    render.report(found)
    if found.ok:
        raise DiademError("the flipped byte was not found", where=str(damaged))

    print("\n5  Open a signal from the archive: package.load('haadf_overview.tif')")
    print(f"     {package.load('haadf_overview.tif')}")
    print(f"     of the damaged copy {_try_damaged(damaged, victim.name)}")
    page = Path(package.url) / "data" / "ro-crate-preview.html"
    print(f"\nA page for people is in every package: {page.name}")
    return 0


def _try_damaged(folder: Path, name: str) -> str:
    """What happens when the damaged file is read."""
    import diadem

    try:
        with diadem.open(folder).open(name) as source:
            source.read()
    except diadem.DigestMismatch as error:
        return f"nothing is returned: {error.message}"
    raise DiademError("a damaged file was read without an error", where=name)


def _remove(folder: Path) -> None:
    """Remove a demo folder; archived files are read-only, which Windows and read-only folders mind."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o700)
        elif not path.is_symlink():
            path.chmod(0o600)
    shutil.rmtree(folder)
