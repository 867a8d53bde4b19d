"""Names come from the package, which may be anyone's: nothing lands outside, nothing clashes, nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import diadem
from diadem.export.names import target_names
from diadem.model.manifest import FileEntry


def entry(name: str, original: bytes | None) -> FileEntry:
    return FileEntry("data/" + name, 0, "0" * 64, 0, original)


@pytest.mark.parametrize(
    "original", [b"../../evil", b"/etc/evil", b"a/../../evil", b"", b"a//b", b".", b"nul\0l", b"sub/.."]
)
def test_an_original_that_leads_elsewhere_gives_way_to_the_stored_name(original: bytes) -> None:
    assert target_names([entry("stored.dat", original)], system=sys.platform) == ["stored.dat"]


def test_originals_that_clash_give_way() -> None:
    files = [entry("a~1.dat", b"same"), entry("a~2.dat", b"same"), entry("b~1.dat", b"a.dat/x"), entry("a.dat", None)]
    first, second, *others = target_names(files, system=sys.platform)
    assert others == ["b~1.dat", "a.dat"]
    assert sorted((first, second)) == ["a~2.dat", "same"]


def test_of_several_packages_the_first_has_its_place_and_nothing_is_lost() -> None:
    newer, older = [entry("a/b", None), entry("x_y~1.dat", b"x:y.dat")], [entry("a", None), entry("a/b", None)]
    *first, file, again = target_names([*newer, *older], system=sys.platform)
    assert first == ["a/b", "x_y~1.dat" if sys.platform == "win32" else "x:y.dat"]
    assert file.startswith("a~")
    assert again.startswith("a~")
    assert again.endswith("/b")


@pytest.mark.parametrize(
    "original", ["a:b.tif", "aux.raw", "NUL", "com1.dat", "COM¹.dat", "x.", "x ", "what?", "a\\b", "x\x01", "a" * 256]
)
def test_what_windows_cannot_hold_keeps_its_stored_name_there(original: str) -> None:
    files = [entry("stored~1.dat", original.encode()), entry("sub/stored~2.dat", b"sub/" + original.encode())]
    assert target_names(files, system="win32") == ["stored~1.dat", "sub/stored~2.dat"]
    assert target_names(files, system="linux") == [original, f"sub/{original}"]


@pytest.mark.parametrize(
    "original", ["50% overlap.dm3", "Cafe\u0301.dat", " x.dat", "ü" * 200, "auxiliary.dat", "a~b.dat"]
)
def test_what_windows_can_hold_comes_back_under_its_name(original: str) -> None:
    """Stored under another name for the sake of manifests and of other systems."""
    for system in ("win32", "darwin", "linux"):
        assert target_names([entry("stored~1.dat", original.encode())], system=system) == [original]


def test_names_that_are_no_text_come_back_where_the_system_has_such() -> None:
    file = entry("x_~1.dat", b"x\xff.dat")
    assert target_names([file], system="linux") == [os.fsdecode(b"x\xff.dat")]
    assert target_names([file], system="darwin") == target_names([file], system="win32") == ["x_~1.dat"]


def test_names_that_differ_in_case_or_composition_are_one_on_windows_and_macos() -> None:
    files = [entry("Scan.dat", None), entry("scan~1.dat", b"scan.dat"), entry("a~1/x", b"SCAN.DAT/x")]
    composed = [entry("é.dat", None), entry("e~1.dat", "e\u0301.dat".encode())]
    for system in ("win32", "darwin"):
        assert target_names(files, system=system) == ["Scan.dat", "scan~1.dat", "a~1/x"]
        assert target_names(composed, system=system) == ["é.dat", "e~1.dat"]
    assert target_names(files, system="linux") == ["Scan.dat", "scan.dat", "SCAN.DAT/x"]


@pytest.mark.skipif(sys.platform == "win32", reason="such names cannot be made on Windows")
def test_an_empty_folder_where_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "10%.dat").write_bytes(b"1")
    package = diadem.pack(tmp_path / "session", tmp_path / "store")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    restored = package.restore(".")
    assert os.listdir(here) == os.listdir() == ["10%.dat"]
    assert (restored.files, list(restored.renamed)) == (1, [])


def test_progress_comes_while_a_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "a.dat").write_bytes(b"x" * 13_000_000)
    package = diadem.pack(tmp_path / "session", tmp_path / "store")
    sizes: list[int] = []

    def look(progress: object) -> None:
        sizes.extend(path.stat().st_size for path in tmp_path.rglob(".diadem-*.part/a.dat"))

    package.restore(tmp_path / "back", listener=look)
    assert sizes == sorted(sizes)
    assert sizes[0] < 13_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="other systems hold no path of this length")
def test_folders_however_deep_are_packed_and_given_back(tmp_path: Path) -> None:
    here = source = tmp_path / "session"
    for _ in range(1500):
        here.mkdir()
        here = here / "d"
    (here.parent / "b.dat").write_bytes(b"2")
    package = diadem.pack(source, tmp_path / "store")
    package.restore(tmp_path / "out")
    assert (tmp_path / "out" / here.parent.relative_to(source) / "b.dat").read_bytes() == b"2"
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)  # pytest goes down one call a folder
