"""Packing through the public API: what lies in the store afterwards, and that nothing partial ever does."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import threading
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import diadem
from diadem.model.manifest import TAGMANIFEST
from diadem.testing.faults import flip_byte
from tests import zygote
from tests.oracles import bagit_validate, sha256sum_check, validate_crate

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX names, links or permissions")


def state(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Size, mtime and digest of every file."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_size,
            path.lstat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else "",
        )
        for path in folder.rglob("*")
    }


def visible(store: Path) -> list[Path]:
    """Everything in the store that is not DIADEM's own."""
    return [path for path in store.iterdir() if path.name != ".diadem"] if store.is_dir() else []


@pytest.fixture
def session(tmp_path: Path) -> Path:
    folder = tmp_path / "2026 session"
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "a.dat").write_bytes(b"a" * 3_000_000)
    (folder / "sub" / "b.dat").write_bytes(b"")
    (folder / "sub" / ".hidden").write_bytes(b"h")
    return folder


def test_a_package_is_what_the_design_says(session: Path, tmp_path: Path) -> None:
    before = state(session)
    package = diadem.pack(
        session, tmp_path / "store", metadata={"session": {"date": "2026-03-14", "title": "ZnO S-12"}}
    )
    bag = Path(package.url)
    assert state(session) == before
    assert bag.parent.name == "2026"
    assert bag.name == f"20260314-zno-s-12-{package.payload_id[:12]}"
    assert package.id == "diadem:" + hashlib.sha256((bag / TAGMANIFEST).read_bytes()).hexdigest()
    lines = sorted(
        (
            f"{hashlib.sha256((session / name).read_bytes()).hexdigest()}  data/{name}\n"
            for name in ("a.dat", "sub/.hidden", "sub/b.dat")
        ),
        key=lambda line: line[66:].encode(),
    )
    assert package.payload_id == hashlib.sha256("".join(lines).encode()).hexdigest()
    hint = tmp_path / "store" / ".diadem" / "by-payload" / package.payload_id / package.id.hex
    assert hint.read_text() == f"2026/{bag.name}"
    assert list(package.record.empty_dirs) == ["sub/empty"]
    assert [entry.name for entry in package.files] == ["a.dat", "sub/.hidden", "sub/b.dat"]
    assert package.verify(level="full").ok
    if sys.platform != "win32":
        assert not any(path.lstat().st_mode & 0o222 for path in [bag, *bag.rglob("*")])


@pytest.mark.program("another program judges what is written")
def test_peers_accept_it(session: Path, tmp_path: Path) -> None:
    package = diadem.pack(session, tmp_path / "store")
    bag = Path(package.url)
    assert bagit_validate(bag) == []
    assert sha256sum_check(bag) == []
    assert validate_crate(bag) == []


def test_packing_again_writes_nothing(session: Path, tmp_path: Path) -> None:
    first = diadem.pack(session, tmp_path / "store")
    before = state(tmp_path / "store")
    second = diadem.pack(session, tmp_path / "store")
    assert second.outcome is not None
    assert not second.outcome.created
    assert (second.id, second.payload_id, second.url) == (first.id, first.payload_id, first.url)
    assert state(tmp_path / "store") == before


def test_the_same_files_elsewhere_are_the_same_payload(session: Path, tmp_path: Path) -> None:
    first = diadem.pack(session, tmp_path / "store")
    moved = session.rename(tmp_path / "another name")
    assert diadem.pack(moved, tmp_path / "store").url == first.url


def test_a_changed_file_of_the_same_size_is_another_payload(session: Path, tmp_path: Path) -> None:
    first = diadem.pack(session, tmp_path / "store")
    (session / "a.dat").write_bytes(b"b" * 3_000_000)
    second = diadem.pack(session, tmp_path / "store")
    assert second.outcome is not None
    assert second.outcome.created
    assert second.payload_id != first.payload_id


def test_a_damaged_package_does_not_stop_a_new_one(session: Path, tmp_path: Path) -> None:
    first = Path(diadem.pack(session, tmp_path / "store").url)
    (first / "data").chmod(0o700)
    (first / "data" / "a.dat").unlink()
    second = diadem.pack(session, tmp_path / "store")
    assert second.outcome is not None
    assert second.outcome.created
    assert second.verify(level="full").ok
    assert Path(second.url).name == first.name + "-2"


@posix
def test_what_cannot_be_archived_is_listed_and_the_rest_is_archived(session: Path, tmp_path: Path) -> None:
    (session / "loop").symlink_to(session)
    (session / "secret").symlink_to("/etc/hostname")
    os.mkfifo(session / "pipe")
    package = diadem.pack(session, tmp_path / "store")
    assert package.outcome is not None
    found = {item["path"]: item["kind"] for item in package.outcome.omissions}
    assert found == {"loop": "symlink", "secret": "symlink", "pipe": "fifo"}
    assert {item["path"]: item["kind"] for item in package.record.omitted} == found
    assert "Diadem-Omitted: 3" in (Path(package.url) / "bag-info.txt").read_text()
    with pytest.raises(diadem.Refused, match="3 things cannot be archived"):
        diadem.pack(session, tmp_path / "strict", strict=True)
    assert not visible(tmp_path / "strict")


@posix
def test_hostile_names(tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    names = [
        b"plain.dat", b"100%.dat", b"line\nbreak.dat", b"dot.", b"CON", b"con.txt", b"Twin.dat", b"twin.DAT",
        b"caf\xe9.dat", "nfd-e\u0301.dat".encode(), ("x" * 251 + ".dat").encode(), b" lead.dat", b"trail.dat ",
        b"a:b.dat", b"diadem-record.json", b"ro-crate-metadata.json", b"back\\slash.dat", b"tab\t.dat",
        b"quote\".dat", b"~home", b"-dash", b"#hash",
    ]  # fmt: skip
    for name in names:
        (session / os.fsdecode(name)).write_bytes(name)
    package = diadem.pack(session, tmp_path / "store")
    assert len(package.files) == len(names)
    bag = Path(package.url)
    assert bagit_validate(bag) == []
    assert sha256sum_check(bag) == []
    assert validate_crate(bag) == []
    for name in names:
        with package.open(os.fsdecode(name)) as source:
            assert source.read() == name
    stored = [entry.name for entry in package.files]
    assert "nfd-é.dat" in stored
    assert len({unicodedata.normalize("NFC", name).casefold() for name in stored}) == len(stored)
    restored = package.restore(tmp_path / "back")
    assert restored.renamed == []
    assert {os.fsencode(path.name) for path in (tmp_path / "back").iterdir()} == set(names)
    assert all((tmp_path / "back" / os.fsdecode(name)).read_bytes() == name for name in names)


def test_restoring_gives_names_times_folders_and_write_permission(session: Path, tmp_path: Path) -> None:
    os.utime(session / "a.dat", ns=(1_600_000_000_123_456_700, 1_600_000_000_123_456_700))
    diadem.pack(session, tmp_path / "store").restore(tmp_path / "back")
    back = tmp_path / "back"
    assert (back / "a.dat").stat().st_mtime_ns == 1_600_000_000_123_456_700
    assert (back / "a.dat").read_bytes() == (session / "a.dat").read_bytes()
    assert (back / "sub" / "empty").is_dir()
    with (back / "a.dat").open("ab") as sink:
        sink.write(b"!")
    with pytest.raises(diadem.Refused, match="not empty"):
        diadem.pack(session, tmp_path / "store").restore(back)


def test_restoring_damage_leaves_nothing_behind(session: Path, tmp_path: Path) -> None:
    package = diadem.pack(session, tmp_path / "store")
    victim = Path(package.url) / "data" / "a.dat"
    victim.chmod(0o600)
    data = bytearray(victim.read_bytes())
    data[2_000_000] ^= 1
    victim.write_bytes(data)
    with pytest.raises(diadem.DigestMismatch) as caught:
        package.restore(tmp_path / "back")
    assert (caught.value.leaf, caught.value.range) == (1, (1 << 20, 2 << 20))
    assert not (tmp_path / "back").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_a_file_that_keeps_changing_is_left_out(session: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def keep_writing() -> None:
        with (session / "live.dat").open("wb", buffering=0) as sink:
            while not stop.is_set():
                sink.write(b"x" * 1000)
                time.sleep(0.0005)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        while not (session / "live.dat").exists():
            time.sleep(0.01)
        (session / "big.dat").write_bytes(os.urandom(40_000_000))
        package = diadem.pack(session, tmp_path / "store")
    finally:
        stop.set()
        writer.join()
    assert package.outcome is not None
    kinds = {item["path"]: item["kind"] for item in package.outcome.omissions}
    assert kinds in ({"live.dat": "changing"}, {})  # a very slow disk may see it still
    assert package.verify(level="full").ok


def test_files_that_vanish_are_left_out(session: Path, tmp_path: Path) -> None:
    for number in range(300):
        (session / f"z{number:03}.dat").write_bytes(b"z")

    def vanish(progress: object) -> None:
        (session / "z299.dat").unlink(missing_ok=True)

    package = diadem.pack(session, tmp_path / "store", listener=vanish)
    assert package.outcome is not None
    assert [(item["path"], item["kind"]) for item in package.outcome.omissions] == [("z299.dat", "vanished")]
    assert package.verify(level="full").ok
    assert len(package.files) == 302


def test_two_packs_at_once_make_one_package(session: Path, tmp_path: Path) -> None:
    found: list[diadem.Package] = []
    threads = [
        threading.Thread(target=lambda: found.append(diadem.pack(session, tmp_path / "store"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({package.id for package in found}) == 1
    assert [package.outcome.created for package in found if package.outcome].count(True) == 1
    assert len(list((tmp_path / "store").glob("[0-9]*/*"))) == 1
    assert not list((tmp_path / "store" / ".diadem" / "stage").iterdir())


def test_interruption_leaves_nothing(session: Path, tmp_path: Path) -> None:
    def interrupt(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(diadem.Interrupted):
        diadem.pack(session, tmp_path / "store", listener=interrupt)
    assert not visible(tmp_path / "store")
    assert not list((tmp_path / "store" / ".diadem" / "stage").iterdir())


def test_a_store_inside_the_source_is_refused(session: Path) -> None:
    with pytest.raises(diadem.UsageError, match="inside"):
        diadem.pack(session, session / "archive")


def test_metadata_is_validated_before_anything_is_read(session: Path, tmp_path: Path) -> None:
    with pytest.raises(diadem.DocumentError) as caught:
        diadem.pack(session, tmp_path / "store", metadata={"session": {"date": "14.3.2026"}})
    assert "session" in str(caught.value)
    assert "date" in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_deep_folders_and_many_files(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    deep = folder.joinpath(*(f"level{number}" for number in range(12)))
    deep.mkdir(parents=True)
    for number in range(500):
        (deep / f"{number}.dat").write_bytes(str(number).encode())
    package = diadem.pack(folder, tmp_path / "store")
    assert len(package.files) == 500
    assert package.verify(level="full").ok


parts = st.text(min_size=1, max_size=12).filter(
    lambda part: "/" not in part and "\0" not in part and part not in (".", "..")
)


@posix
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(tree=st.dictionaries(st.tuples(parts, parts), st.binary(max_size=3000), min_size=1, max_size=6))
def test_any_tree_round_trips(tmp_path_factory: pytest.TempPathFactory, tree: dict[tuple[str, str], bytes]) -> None:
    home = tmp_path_factory.mktemp("tree")
    session = home / "session"
    written: dict[str, bytes] = {}
    for (folder, name), data in tree.items():
        try:
            (session / folder).mkdir(parents=True, exist_ok=True)
            (session / folder / name).write_bytes(data)
        except (OSError, UnicodeEncodeError):
            continue
        written[f"{folder}/{name}"] = data
    if not written:
        return
    package = diadem.pack(session, home / "store")
    assert package.verify(level="full").ok
    package.restore(home / "back")
    assert {
        str(path.relative_to(home / "back")): path.read_bytes() for path in (home / "back").rglob("*") if path.is_file()
    } == {str(path.relative_to(session)): path.read_bytes() for path in session.rglob("*") if path.is_file()}


def test_the_record_is_one_json_document(session: Path, tmp_path: Path) -> None:
    package = diadem.pack(session, tmp_path / "store")
    document = json.loads((Path(package.url) / "data" / "diadem-record.json").read_bytes())
    assert document["schema"] == "diadem-record/1.0.0"
    assert {dataset["files"][0]["path"] for dataset in document["datasets"]} == {"a.dat", "sub/.hidden", "sub/b.dat"}
    assert package.record.datasets[0].files[0].format == "unknown"


def test_an_error_of_the_listener_is_not_blamed_on_the_source(session: Path, tmp_path: Path) -> None:
    def fail(progress: object) -> None:
        raise OSError(5, "the terminal is gone")

    with pytest.raises(OSError, match="terminal"):
        diadem.pack(session, tmp_path / "store", listener=fail)
    assert not visible(tmp_path / "store")


def test_a_rotted_package_is_not_taken_for_an_archive(session: Path, tmp_path: Path) -> None:
    first = diadem.pack(session, tmp_path / "store")
    flip_byte(Path(first.url) / "data" / "a.dat", 2_000_000)
    second = diadem.pack(session, tmp_path / "store")
    third = diadem.pack(session, tmp_path / "store")
    assert second.outcome is not None
    assert third.outcome is not None
    assert (second.outcome.created, third.outcome.created) == (True, False)
    assert third.url == second.url != first.url
    assert third.verify(level="full").ok


def test_a_time_beyond_what_the_index_holds(session: Path, tmp_path: Path) -> None:
    try:
        os.utime(session / "a.dat", (4e12, 4e12))
    except (OSError, OverflowError):
        pytest.skip("this file system holds no such time")
    if (session / "a.dat").stat().st_mtime < 1e12:
        pytest.skip("this file system holds no such time")
    assert diadem.pack(session, tmp_path / "store").verify(level="full").ok


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, to read as one who may not read all")
def test_unreadable_files_are_listed_each_time_and_alone_are_refused() -> None:
    import tempfile

    home = Path(tempfile.mkdtemp(prefix="diadem-test-"))
    try:
        (home / "session").mkdir()
        (home / "session" / "good.dat").write_bytes(b"1")
        (home / "session" / "secret.dat").write_bytes(b"2")
        (home / "session" / "secret.dat").chmod(0)
        for path in (home, home / "session"):
            path.chmod(0o777)

        def run(*options: str) -> tuple[int, dict[str, object]]:
            # Root may read everything; without these capabilities it is a user like others.
            powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
            command = [sys.executable, "-m", "diadem", "pack", str(home / "session"), str(home / "store"), "--json"]
            done = zygote.run([*powerless, *command, *options])
            return done.returncode, json.loads(done.stdout)

        for status in ("archived", "already archived"):
            code, document = run()
            assert (code, document["status"]) == (1, status)
            assert [item["path"] for item in document["omitted"]] == ["secret.dat"]  # type: ignore[attr-defined]
        assert run("--strict")[0] == 4
        (home / "session" / "good.dat").unlink()
        code, document = run()
        assert code == 2
        assert "no file can be archived" in str(document)
    finally:
        from diadem.store.stage import remove_tree

        remove_tree(home)
