"""A package that was made to do harm: it is refused before its files are made, and nothing lies where it should not."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from diadem.errors import DiademError, DigestMismatch, IntegrityError, NotFound, PackageError, Refused
from diadem.model import canonical
from diadem.model.manifest import (
    DERIVED_PATHS,
    INDEX_PATH,
    LEAVES_PATH,
    MANIFEST,
    RECORD_PATH,
    TAGMANIFEST,
    FileEntry,
    Manifest,
)
from diadem.model.names import MAX_FOLDERS, require_sound_names
from diadem.model.ports import silent
from diadem.model.routes import DIRECT
from diadem.model.transfers import State, Transfer, new_id
from diadem.network.exchange import PARAMETERS
from diadem.network.handlers.transfers import pushed_of
from diadem.network.incoming import receive
from diadem.network.messages import Message
from diadem.network.pull import FetchOptions, receive_package
from diadem.network.source import Sources
from diadem.network.tag_parts import LENGTH, read_tag_files, tag_files
from diadem.package.examine import LIMITS, TagFiles, open_tag_files
from diadem.package.tags import BAG_INFO, bag_info_text, index_text, manifest_text
from diadem.store.bags import LocalBundle
from diadem.trust.hashing import payload_id, payload_urn, sha256_hex
from tests.transfer.pair import Bytes, Pair, Side, put_window

FILES = {"notes.txt": b"notes" * 100, "scan.bin": b"scan" * 2000}


def bag_of(side: Side, package: str) -> Path:
    replica = side.node.context.catalogue.replicas(package)[0]
    return Path(side.node.context.settings.store(replica.store).url) / replica.path


def altered(opened: TagFiles, bag: Path, names: Mapping[str, str], leaf: bytes = b"") -> dict[str, bytes]:
    """The tag files of the same package with other names, which agree with each other; and, it may be, another leaf."""
    entries, leaves, first = [], b"", 0
    for entry in sorted(opened.manifest, key=lambda one: names.get(one.path, one.path).encode()):
        count = opened.leaves.count(entry)
        leaves += opened.leaves.of(entry).digests
        entries.append(replace(entry, path=names.get(entry.path, entry.path), first_leaf=first))
        first += count
    manifest = Manifest(tuple(entries), opened.manifest.leaf_size)
    payload = payload_id(manifest.payload)
    changed = {"Diadem-Payload-Id": payload, "External-Identifier": payload_urn(payload)}
    tags = {
        MANIFEST: manifest_text((entry.sha256, entry.path) for entry in entries),
        INDEX_PATH: index_text(manifest),
        LEAVES_PATH: leaves[: -len(leaf)] + leaf if leaf else leaves,
        BAG_INFO: bag_info_text([(label, changed.get(label, value)) for label, value in opened.bag_info]),
    }
    for _, path in tag_files((bag / TAGMANIFEST).read_bytes()):
        tags.setdefault(path, (bag / path).read_bytes())
    return tags


def offered(pair: Pair, tags: Mapping[str, bytes], extra: Mapping[str, bytes] | None = None) -> Transfer:
    """An accepted transfer whose sender gives these tag files; the receiver's book has what they add up to."""
    sent = pair.a.desk.book.all()[0]
    every = {**tags, **(extra or {})}
    text = manifest_text((sha256_hex(data), path) for path, data in every.items())
    ordered = sorted(every.items(), key=lambda item: item[0].encode())
    part = b"".join(LENGTH.pack(len(data)) + data for _, data in ordered)
    lines = [line.split("  ", 1) for line in tags[MANIFEST].decode().splitlines()]
    files = [FileEntry(path, 0, digest, 0, None, 0) for digest, path in lines if path not in DERIVED_PATHS]
    payload = payload_id(files)
    sizes = sum(int(row.split("\t")[1]) for row in tags[INDEX_PATH].decode().splitlines()[1:])
    size = sizes + len(text) + sum(map(len, every.values()))
    with pair.b.desk.book._file.writing() as connection:
        connection.execute(
            "UPDATE transfers SET package = ?, payload_id = ?, bytes = ?, files = ?",
            [f"diadem:{sha256_hex(text)}", payload, size, len(files)],
        )
    pair.b.wire.spoil = lambda kind, number, _s, data: (text, part)[number] if kind == "part" else data
    return pair.b.desk.book.get(sent.id)


@pytest.fixture
def opened(pair: Pair) -> tuple[TagFiles, Path]:
    """The package of an accepted transfer, and where it lies."""
    package = pair.a.archived("session", FILES)
    sent = pair.a.node.send(package, "marie@nmi")
    pair.b.node.accept(sent.id, wait=False)
    bag = bag_of(pair.a, package)
    return open_tag_files(LocalBundle(bag)), bag


def fetch(pair: Pair, transfer: Transfer) -> Transfer:
    return receive_package(pair.b.desk, transfer.id, FetchOptions(1, waits=(0.0,)), listener=silent)


def made_at(pair: Pair) -> set[str]:
    """Every file in the receiver's place for what arrives."""
    root = pair.b.root / "store" / ".diadem" / "arriving"
    return {path.relative_to(root).as_posix().partition("/")[2] for path in root.rglob("*") if path.is_file()}


NAMES = {
    "up": ("data/../../../evil.bin", "'..' is not a name"),
    "device": ("data/aux.bin", "device"),
    "case": ("data/NOTES.txt", "is the same as 'notes.txt'|is the same as 'NOTES.txt'"),
    "composition": ("data/e\u0301.bin", "composed form"),
    "dot": ("data/notes.txt.", "dot at its end"),
    "space": ("data/notes.txt ", "white space"),
    "stream": ("data/notes.txt:x", "cannot be stored"),
    "folder": ("data/notes.txt/x", "'notes.txt' in it"),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_that_lead_astray(pair: Pair, opened: tuple[TagFiles, Path], case: str) -> None:
    name, why = NAMES[case]
    transfer = offered(pair, altered(*opened, {"data/scan.bin": name}))
    before = set(pair.b.root.rglob("*"))
    with pytest.raises(PackageError, match=why):
        fetch(pair, transfer)
    assert pair.b.wire.windows == [], "no byte of its files was asked for"
    assert not [one for one in made_at(pair) if "bag/data" in one]
    fresh = {path for path in set(pair.b.root.rglob("*")) - before if "arriving" not in path.parts}
    assert not [path for path in fresh if path.name.startswith(("evil", "aux", "scan"))]
    assert pair.b.desk.book.get(transfer.id).state is State.FAILED


def test_a_package_without_a_record_is_refused(pair: Pair, opened: tuple[TagFiles, Path]) -> None:
    """No search could find it, and it could not be entered once it lay in the store."""
    transfer = offered(pair, altered(*opened, {RECORD_PATH: "data/other.json"}))
    with pytest.raises(PackageError, match="has no record"):
        fetch(pair, transfer)
    assert pair.b.wire.windows == [], "no byte of its files was asked for"
    assert pair.b.desk.book.get(transfer.id).state is State.FAILED


TAGS = {
    "payload": "DATA/evil.bin",
    "dot": "bag-info.txt.",
    "case": "Bag-Info.txt",
    "manifest": "TagManifest-SHA256.txt",
}


@pytest.mark.parametrize("case", TAGS)
def test_tag_files_that_are_another_file_on_some_systems(pair: Pair, opened: tuple[TagFiles, Path], case: str) -> None:
    transfer = offered(pair, altered(*opened, {}), {TAGS[case]: b"evil"})
    with pytest.raises(PackageError, match="is refused"):
        fetch(pair, transfer)
    assert made_at(pair) == {"", "tagmanifest"}, "its lock, and what has the id of the package"


def test_every_tag_file_is_the_one_that_is_listed(pair: Pair, opened: tuple[TagFiles, Path]) -> None:
    """Also those that nobody reads before the package lands."""
    text = (opened[1] / TAGMANIFEST).read_bytes()
    for _, path in (listed := tag_files(text)):
        bent = {one: (opened[1] / one).read_bytes() for _, one in listed}
        bent[path] = bytes([bent[path][0] ^ 1]) + bent[path][1:]
        part = b"".join(LENGTH.pack(len(bent[one])) + bent[one] for _, one in listed)
        with pytest.raises(DigestMismatch, match="not what the tag manifest lists") as caught:
            read_tag_files(Bytes(part), listed, 1 << 30, _drain_file)
        assert caught.value.where == path
    good = b"".join(LENGTH.pack((opened[1] / one).stat().st_size) + (opened[1] / one).read_bytes() for _, one in listed)
    assert read_tag_files(Bytes(good), listed, len(good), _drain_file) == len(good)
    with pytest.raises(PackageError, match="more than a tag file may have"):
        read_tag_files(Bytes(good), listed, len(good) - 1, _drain_file)


def test_leaves_that_disagree_with_the_files(pair: Pair, opened: tuple[TagFiles, Path]) -> None:
    """The leaves are those of other bytes: the bytes of the files are never right, and are not asked for for ever."""
    transfer = offered(pair, altered(*opened, {}, leaf=bytes(32)))
    with pytest.raises(DigestMismatch, match="came wrong 4 times"):
        fetch(pair, transfer)
    assert len(pair.b.wire.windows) == 4


def test_an_index_of_ten_million_files_is_not_read(pair: Pair, opened: tuple[TagFiles, Path]) -> None:
    """Neither list of the files is read above its limit, whatever was accepted: no memory is taken for it."""
    bag = opened[1]
    listed = tag_files((bag / TAGMANIFEST).read_bytes())
    for path in (INDEX_PATH, MANIFEST):
        size = 10_000_000 * 75
        assert size > LIMITS[path]
        head = b"".join(
            LENGTH.pack(size) if one == path else LENGTH.pack((bag / one).stat().st_size) + (bag / one).read_bytes()
            for _, one in listed[: [one for _, one in listed].index(path) + 1]
        )
        tracemalloc.start()
        with pytest.raises(PackageError, match="750,000,000 bytes are more than a tag file may have"):
            read_tag_files(Bytes(head), listed, 1 << 45, _drain_file)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
        tracemalloc.stop()


def _drain_file(_: str, blocks: Iterable[memoryview]) -> None:
    for _block in blocks:
        pass


def test_names_of_thousands_of_folders_cost_neither_time_nor_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = "/".join(["a"] * 4000)
    tracemalloc.start()
    require_sound_names(f"data/{number:02}/{deep}" for number in range(20))
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    monkeypatch.setattr("diadem.model.names.MAX_FOLDERS", 50_000)
    assert MAX_FOLDERS == 1_000_000
    with pytest.raises(PackageError, match="more than 50,000 folders"):
        require_sound_names(f"data/{number:02}/{deep}" for number in range(20))


def test_what_is_pushed_besides_is_not_taken(pair: Pair, opened: tuple[TagFiles, Path]) -> None:
    """Windows that there are not, parts that there are not, more tag files than are listed, other bytes of a window."""
    transfer = pair.b.desk.book.all()[0]
    pushed, peer = pushed_of(pair.b.node.context), pair.a.id
    source = Sources(pair.a.desk).of(pair.b.id, transfer.id, DIRECT)
    parts = [b"".join(source.part(number)[1]) for number in (0, 1)]
    assert PARAMETERS["part"] == "[01]"
    pushed.put_part(peer, transfer.id, 0, parts[0])
    with pytest.raises(PackageError, match="more bytes came"):
        pushed.put_part(peer, transfer.id, 1, parts[1] + LENGTH.pack(4) + b"evil")
    pushed.put_part(peer, transfer.id, 1, parts[1])  # it had failed, and goes on when its sender mends it
    for number in (1, 2, 999_999_999):
        with pytest.raises(NotFound, match="no such window"):
            put_window(pushed, peer, transfer.id, number, b"evil")
    window = b"".join(source.window(0)())
    for wrong in (window + b"x", window[:-1], b""):
        with pytest.raises(Refused, match="not whole leaves"):
            put_window(pushed, peer, transfer.id, 0, wrong)
    with pytest.raises(DigestMismatch):
        put_window(pushed, peer, transfer.id, 0, bytes(len(window)))
    assert not any("evil" in one for one in made_at(pair))
    assert put_window(pushed, peer, transfer.id, 0, window) == {"state": "received"}
    landed = bag_of(pair.b, transfer.package)
    kept = {path.relative_to(landed).as_posix() for path in landed.rglob("*") if path.is_file()}
    assert kept == {path.relative_to(opened[1]).as_posix() for path in opened[1].rglob("*") if path.is_file()}


def test_a_pusher_sends_no_more_than_was_accepted(pair: Pair, opened: tuple[TagFiles, Path]) -> None:
    transfer = pair.b.desk.book.all()[0]
    pushed, peer = pushed_of(pair.b.node.context), pair.a.id
    source = Sources(pair.a.desk).of(pair.b.id, transfer.id, DIRECT)
    parts = [b"".join(source.part(number)[1]) for number in (0, 1)]
    window = b"".join(source.window(0)())
    pair.b.desk.book.change(transfer.id, ceiling=sum(map(len, parts)) + len(window) * 2)
    for number, part in enumerate(parts):
        pushed.put_part(peer, transfer.id, number, part)
    for _ in range(2):
        with pytest.raises(DigestMismatch):
            put_window(pushed, peer, transfer.id, 0, bytes(len(window)))
    with pytest.raises(Refused, match="more bytes came than were accepted"):
        put_window(pushed, peer, transfer.id, 0, window)


def test_a_file_that_somebody_put_beside_what_arrives_does_not_land(pair: Pair, opened: tuple[TagFiles, Path]) -> None:
    transfer = pair.b.desk.book.all()[0]

    def plant(kind: str, _number: int, _start: int, data: bytes) -> bytes:
        if kind == "window":
            place = pair.b.root / "store" / ".diadem" / "arriving" / transfer.id / "bag" / "data" / "evil.bin"
            place.write_bytes(b"evil")
        return data

    pair.b.wire.spoil = plant
    with pytest.raises(IntegrityError, match=r"evil\.bin|not listed"):
        fetch(pair, transfer)
    assert not pair.b.node.context.catalogue.has(transfer.package)
    assert not list((pair.b.root / "store").glob("20*/*"))


def test_a_grant_that_is_taken_back_ends_the_bytes_at_once(pair: Pair, opened: tuple[TagFiles, Path]) -> None:
    transfer = pair.a.desk.book.all()[0]
    sources = Sources(pair.a.desk)
    source = sources.of(pair.b.id, transfer.id, DIRECT)
    assert len(b"".join(source.read(0, 0, 1))) == 1
    pair.a.node.revoke(transfer.grant)
    with pytest.raises(NotFound):
        source.read(0, 0, 1)
    with pytest.raises(NotFound):
        source.part(0)
    with pytest.raises(NotFound):
        source.window(0)
    with pytest.raises(NotFound):
        sources.of(pair.b.id, transfer.id, DIRECT)
    with pytest.raises(NotFound):
        fetch(pair, transfer)


def test_nobody_fills_the_log_by_contradicting_itself_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where refusals in between are so many that the book forgets the oldest."""
    monkeypatch.setattr("diadem.network.book._KEPT_REFUSALS", 3)
    desk = pair.b.desk
    for _ in range(4):
        desk.distrust("ab" * 16, pair.a.id, "the log was rewritten")
        for number in range(5):
            desk.book.refuse(pair.a.id, "ab" * 16, f"offer: too large {number}", desk.now)
    said = [entry.statement for entry in pair.b.node.context.ledger.of_kind("audit")]
    assert len(said) == 1
    assert len(desk.book.refusals()) == 6


def test_words_of_others_are_short_and_obeyed_by_no_terminal(pair: Pair) -> None:
    package = pair.a.archived("session", FILES)
    sent = pair.a.node.send(package, "marie@nmi")
    (data,) = pair.a.wire.sent
    pair.b.desk.book._file._connection.execute("DELETE FROM transfers")
    document = canonical.decode(data, where="", limit=1 << 24)
    document["about"]["record"]["title"] = "\x1b[2Jaccepted\n" + "x" * 5000
    document["id"] = new_id()
    receive(pair.b.desk, pair.a.id, canonical.encode(document, where=""))
    title = pair.b.desk.book.get(sent.id).title
    assert title.isprintable()
    assert len(title) <= 200
    document["about"]["record"]["title"] = "deep"
    data = canonical.encode(document, where="")
    for depth in (100, 50_000):
        with pytest.raises(DiademError, match="nested"):
            Message.from_bytes(data.replace(b'"deep"', b"[" * depth + b"]" * depth))


def test_nothing_is_left_in_the_way_of_others(pair: Pair, opened: tuple[TagFiles, Path]) -> None:
    """A transfer that has failed for good is ended by its receiver, and its room is free again."""
    transfer = offered(pair, altered(*opened, {"data/scan.bin": "data/NOTES.txt"}))
    with pytest.raises(PackageError):
        fetch(pair, transfer)
    pair.b.node.transfers.cancel(transfer.id, reason="no package")
    pair.b.node.transfers.resume()
    assert os.listdir(pair.b.root / "store" / ".diadem" / "arriving") == []
    assert pair.b.desk.book.reserved(transfer.store) == 0
