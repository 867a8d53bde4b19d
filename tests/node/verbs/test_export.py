"""A package goes out as one ZIP that anyone can check; the log knows of it first; nothing half-made is ever left."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bagit
import pytest

import diadem
from diadem.cli.main import run as command_line
from diadem.custody.corrections import CorrectionSheet
from diadem.errors import IntegrityError, Interrupted, Refused, Unreachable, UsageError
from diadem.model.ports import Progress
from diadem.model.replicas import PRESENT, SUSPECT
from diadem.node.give.export import Exported
from diadem.testing.stores import Fault, FaultyStore
from tests import zygote
from tests.node.verbs.conftest import Lab, damage

MARIE = "Marie Curie <m@x.org>"
CHAIN = "chain.json"
PAGE = "READ ME FIRST.html"
#: 14 March 2026, 09:26:53 UTC.
MOMENT = 1_773_480_413_000_000_000


def unzip(path: Path, to: Path) -> list[str]:
    """Unpack; what lies in the ZIP at the top."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(to)
    return sorted(os.listdir(to))


def packages_in(path: Path, to: Path) -> list[str]:
    """The folders in an unpacked ZIP."""
    return [name for name in unzip(path, to) if (to / name).is_dir()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def said(lab: Lab, package: str, kind: str) -> list[dict[str, Any]]:
    """Predicates of the statements of a kind about a package, in order."""
    entries = lab.node.context.ledger.of_subject(package.removeprefix("diadem:"))
    return [dict(entry.statement.predicate) for entry in entries if entry.statement.kind == kind]


def export(lab: Lab, package: str, name: str = "out.zip", **wishes: Any) -> Exported:
    (lab.root / "given").mkdir(exist_ok=True)
    done: Exported = lab.node.export(package, lab.root / "given" / name, for_=MARIE, **wishes)
    return done


def given(lab: Lab) -> list[str]:
    return sorted(os.listdir(lab.root / "given"))


# -- whole packages ----------------------------------------------------------------------------------------------------


def test_what_is_unpacked_is_the_package_byte_for_byte(lab: Lab, tmp_path: Path) -> None:
    session = lab.session("Zürich 亜鉛")
    os.utime(session / "scan 1.bin", ns=(MOMENT, MOMENT))
    package = str(lab.node.archive(session, now=True, metadata={"session": {"title": "Zürich"}}).package.id)
    done = export(lab, package)
    source = lab.path(package, "main")
    assert unzip(done.path, tmp_path / "u") == sorted([source.name, PAGE, CHAIN])
    bag = tmp_path / "u" / source.name
    assert contents(bag) == contents(source)
    report = diadem.verify(bag, level="full")
    assert (report.ok, report.package_id) == (True, package)
    assert bagit.Bag(str(bag)).validate()
    assert (done.ok, done.files, done.others, given(lab)) == (True, 3, 0, ["out.zip"])
    assert done.sha256 == hashlib.sha256(done.path.read_bytes()).hexdigest()
    assert done.bytes == done.path.stat().st_size


def test_the_log_says_who_got_what_and_that_one_side_alone_says_so(lab: Lab) -> None:
    package = lab.archived("s")
    done = export(lab, package)
    (statement,) = said(lab, package, "handover")
    assert (statement["to"], statement["form"], statement["redacted"]) == (MARIE, "zip", False)
    assert (statement["sha256"], statement["bytes"], statement["name"]) == (done.sha256, done.bytes, "out.zip")
    assert (statement["by"], "only" in statement) == ("alice@hu-berlin", False)
    step = lab.node.custody(package).steps[-1]
    assert (str(step.verdict), step.kind) == ("claimed by one side", "handover")
    assert f"gave the package to {MARIE} (zip" in step.sentence
    assert lab.node.context.ledger.mirrors.pending() == 0


def test_what_was_corrected_is_shown_with_what_stood_there_and_proves_itself(lab: Lab, tmp_path: Path) -> None:
    package = lab.archived("s")
    lab.node.amend(package, {"sample.name": "EMSA-OLD"})
    lab.node.amend(package, {"sample.name": "EMSA-REF", "voltage": "300 kV"}, reason="label was wrong")
    done = export(lab, package)
    assert unzip(done.path, tmp_path / "u") == sorted(
        [lab.path(package, "main").name, PAGE, CHAIN, "corrections.jsonl"]
    )
    page = (tmp_path / "u" / PAGE).read_text("utf-8")
    assert "Sample EMSA-REF." in page
    assert "<ins>300 kV</ins>" in page
    assert "corrected by alice@hu-berlin on" in page
    assert "label was wrong" in page
    assert "EMSA-OLD" not in page
    (line,) = (tmp_path / "u" / "corrections.jsonl").read_bytes().splitlines()
    sheet = CorrectionSheet.from_line(line)
    assert (sheet.package, sheet.prove(), len(sheet.amendments)) == (package, "hu-berlin", 2)
    again = lab.node.amend(package, {"sample.name": "EMSA-3"})
    assert again.predecessor
    with pytest.raises(IntegrityError, match="left out"):
        replace(sheet, amendments=sheet.amendments[1:]).prove()
    with pytest.raises(IntegrityError, match="who does not own the package"):
        replace(sheet, owners=("bob@hu-berlin",)).prove()


def test_the_old_value_is_struck_through(lab: Lab, tmp_path: Path) -> None:
    metadata = {"sample": {"name": "S-12 wrong"}}
    package = str(lab.node.archive(lab.session("s"), now=True, metadata=metadata).package.id)
    lab.node.amend(package, {"sample.name": "S-13"})
    unzip(export(lab, package).path, tmp_path / "u")
    assert "<del>S-12 wrong</del> <ins>S-13</ins>" in (tmp_path / "u" / PAGE).read_text("utf-8")


def test_corrections_do_not_bring_back_what_was_taken_out(lab: Lab, tmp_path: Path) -> None:
    package = lab.archived("s")
    lab.node.amend(package, {"person.operator": "Zelda Quux", "sample.name": "of Zelda Quux"}, reason="Zelda said so")
    lab.node.amend(package, {"sample.identifier": "S-14"})
    export(lab, package, redact=True)
    names = unzip(lab.root / "given" / "out.zip", tmp_path / "u")
    assert "corrections.jsonl" not in names
    every = b"".join(contents(tmp_path / "u").values())
    assert b"Zelda" not in every
    assert b"alice@" not in every
    assert b"S-14" in every


def test_times_and_permissions_survive_unzip(lab: Lab, tmp_path: Path) -> None:
    if (program := shutil.which("unzip")) is None:
        pytest.skip("this system has no unzip")
    session = lab.session("s")
    os.utime(session / "scan 1.bin", ns=(MOMENT, MOMENT))
    done = export(lab, str(lab.node.archive(session, now=True).package.id))
    subprocess.run([program, "-q", str(done.path), "-d", str(tmp_path / "u")], check=True)
    (found,) = tmp_path.glob("u/*/data/scan 1.bin")
    assert found.stat().st_mtime_ns == MOMENT
    assert stat.S_IMODE(found.stat().st_mode) & 0o600 == 0o600


def test_what_does_not_become_smaller_is_stored(lab: Lab) -> None:
    session = lab.session("s", files=1, size=300_000)
    (session / "frames.bin").write_bytes(bytes(range(100)) * 5000)
    done = export(lab, str(lab.node.archive(session, now=True).package.id))
    with zipfile.ZipFile(done.path) as archive:
        found = {Path(info.filename).name: info for info in archive.infolist()}
    assert found["scan 0.bin"].compress_type == zipfile.ZIP_STORED
    assert found["frames.bin"].compress_type == zipfile.ZIP_DEFLATED
    assert found["frames.bin"].compress_size < 50_000
    assert not any(info.flag_bits & 0x08 for info in found.values())  # no data descriptors


def test_names_are_marked_as_utf_8(lab: Lab) -> None:
    session = lab.session("s", files=1)
    (session / "Größe 5 µm.bin").write_bytes(b"1")
    done = export(lab, str(lab.node.archive(session, now=True).package.id))
    with zipfile.ZipFile(done.path) as archive:
        (info,) = [info for info in archive.infolist() if info.filename.endswith("Größe 5 µm.bin")]
    assert info.flag_bits & 0x800


def test_damage_in_one_copy_is_passed_over_and_noted(lab: Lab, tmp_path: Path) -> None:
    lab.add_second()
    package = lab.archived("s", size=3 << 20)
    damage(lab.path(package, "main") / "data/scan 1.bin", at=(2 << 20) + 5)
    damage(lab.path(package, "main") / "diadem/vendor.zip", at=3)
    done = export(lab, package)
    assert done.damaged == ["main"]
    (folder,) = packages_in(done.path, tmp_path / "u")
    assert diadem.verify(tmp_path / "u" / folder, level="full").package_id == package
    assert contents(tmp_path / "u" / folder) == contents(lab.path(package, "second"))


def test_an_adopted_folder_stands_in_and_an_edit_in_it_is_never_given_out(lab: Lab, tmp_path: Path) -> None:
    session = lab.session("s")
    package = str(lab.node.archive(session, now=True, in_place=True).package.id)
    damage(lab.path(package, "main") / "data/scan 1.bin")
    done = export(lab, package)
    (folder,) = packages_in(done.path, tmp_path / "u")
    assert diadem.verify(tmp_path / "u" / folder, level="full").package_id == package
    (session / "scan 1.bin").write_bytes(b"edited")
    with pytest.raises(IntegrityError):
        export(lab, package, "again.zip")
    assert given(lab) == ["out.zip"]
    states = {one.store: one.state for one in lab.node.context.catalogue.replicas(package)}
    assert states == {"main": SUSPECT, "in-place": PRESENT}  # what people do in their folder is not damage


@pytest.mark.parametrize("path", ["data/scan 1.bin", "diadem/vendor.zip", "data/ro-crate-preview.html"])
def test_damage_in_every_copy_leaves_nothing(lab: Lab, path: str) -> None:
    package = lab.archived("s")
    damage(lab.path(package, "main") / path, at=3)
    with pytest.raises(IntegrityError):
        export(lab, package)
    assert given(lab) == []
    assert said(lab, package, "handover") == []


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_nothing_is_ever_overwritten(lab: Lab) -> None:
    package = lab.archived("s")
    (lab.root / "given").mkdir()
    (lab.root / "given" / "out.zip").write_bytes(b"mine")
    with pytest.raises(Refused, match="file exists already"):
        export(lab, package)
    assert (lab.root / "given" / "out.zip").read_bytes() == b"mine"
    assert said(lab, package, "handover") == []


def test_a_file_that_appears_meanwhile_stays_and_the_log_says_that_nothing_was_given(lab: Lab) -> None:
    package = lab.archived("s")
    target = lab.root / "given" / "out.zip"

    def appear(progress: Progress) -> None:
        if progress.stage == "read back":
            target.write_bytes(b"mine")

    with pytest.raises(Refused, match="file exists already"):
        export(lab, package, listener=appear)
    assert target.read_bytes() == b"mine"
    assert given(lab) == ["out.zip"]
    assert len(said(lab, package, "handover")) == 1
    (withdrawn,) = said(lab, package, "audit")
    assert (withdrawn["outcome"], "did not get its name" in withdrawn["reason"]) == ("failed", True)
    assert "it failed, because" in lab.node.custody(package).steps[-1].sentence


def test_nobody_named_no_folder_and_inside_the_archive(lab: Lab) -> None:
    package = lab.archived("s")
    for to in ("", "  ", "a\nb", "x" * 400):
        with pytest.raises(UsageError, match="who it is for"):
            lab.node.export(package, lab.root / "o.zip", for_=to)
    for target in (lab.root, lab.root / "absent" / "o.zip"):
        with pytest.raises(UsageError):
            lab.node.export(package, target, for_=MARIE)
    for folder in (lab.root / "main", lab.node.path, lab.path(package, "main")):
        with pytest.raises(Refused):
            lab.node.export(package, folder / "o.zip", for_=MARIE)
    with pytest.raises(UsageError, match="raw or record"):
        lab.node.export(package, lab.root / "o.zip", for_=MARIE, only="everything")


def test_where_no_store_can_hold_the_statement_nothing_leaves(lab: Lab) -> None:
    package = lab.archived("s")
    store = FaultyStore(lab.node.context.stores.open("main"))
    lab.node.context.stores.put("main", store)
    store.fail(Fault("put", "unreachable", times=None))
    with pytest.raises(Unreachable, match="no store holds the statement"):
        export(lab, package)
    assert ("put", "unreachable") in store.happened
    assert given(lab) == []
    store.heal()
    lab.node.context.ledger.mirrors.push()
    assert [one["outcome"] for one in said(lab, package, "audit")] == ["failed"]
    assert export(lab, package).ok
    assert len(said(lab, package, "handover")) == 2


def test_a_store_that_is_only_read_gives_nothing_out(lab: Lab) -> None:
    package = lab.archived("s")
    lab.node.close()
    with diadem.open_node(lab.root / "main") as attached, pytest.raises(Refused, match="open for reading only"):
        attached.export(package, lab.root / "o.zip", for_=MARIE)
    assert not (lab.root / "o.zip").exists()


# -- interruptions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["export", "read back"])
def test_ctrl_c_leaves_nothing(lab: Lab, stage: str) -> None:
    package = lab.archived("s")

    def stop(progress: Progress) -> None:
        if progress.stage == stage:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        export(lab, package, listener=stop)
    assert given(lab) == []
    assert said(lab, package, "handover") == []
    assert export(lab, package).ok


@pytest.mark.skipif(sys.platform == "win32", reason="kills with a signal")
def test_a_killed_export_leaves_a_part_that_the_next_one_replaces(lab: Lab) -> None:
    package = lab.archived("s", files=4, size=6 << 20)
    lab.node.close()
    (lab.root / "given").mkdir()
    part = lab.root / "given" / ".out.zip.part"
    command = [sys.executable, "-m", "diadem", "export", package, str(lab.root / "given" / "out.zip"), "--for", MARIE]
    process = zygote.start([*command, "--node", str(lab.node.path)], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    draft = part / "export.zip"
    while process.poll() is None and not (draft.exists() and draft.stat().st_size > 1 << 20):
        assert time.monotonic() < until
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if "out.zip" in given(lab):
        pytest.skip("it was faster than the signal")
    assert given(lab) == [".out.zip.part"]
    with lab.reopened() as node:
        done = node.export(package, lab.root / "given" / "out.zip", for_=MARIE)
    assert given(lab) == ["out.zip"]
    with zipfile.ZipFile(done.path) as archive:
        assert archive.testzip() is None


# -- parts -------------------------------------------------------------------------------------------------------------


def test_raw_files_have_their_own_names_and_a_list_of_digests(lab: Lab, tmp_path: Path) -> None:
    session = lab.session("s")
    (session / "ro-crate-metadata.json").write_bytes(b"{}")
    (session / "empty").mkdir()
    if sys.platform == "linux":
        (session / "10%.bin").write_bytes(b"percent")
        (session / "a.bin").write_bytes(b"small")
        (session / "A.bin").write_bytes(b"large")
    package = str(lab.node.archive(session, now=True).package.id)
    done = export(lab, package, only="raw")
    folder, page, listed = sorted(
        unzip(done.path, tmp_path / "u"), key=lambda name: name != lab.path(package, "main").name
    )
    assert {page, listed} == {PAGE, "manifest-sha256.txt"}
    found = contents(tmp_path / "u" / folder)
    assert sorted(found.values()) == sorted(contents(session).values())
    assert found["ro-crate-metadata.json"] == b"{}"
    assert "diadem-record.json" not in found
    assert (tmp_path / "u" / folder / "empty").is_dir()
    assert len({name.casefold() for name in found}) == len(found)
    assert not any(set(name) & set('%<>:"|?*\\') for name in found)
    lines = (tmp_path / "u" / listed).read_text("utf-8").splitlines()
    assert {line.split("  ", 1)[1]: line[:64] for line in lines} == {
        f"{folder}/{name}": hashlib.sha256(data).hexdigest() for name, data in found.items()
    }
    assert said(lab, package, "handover")[0]["only"] == "raw"
    assert "without its metadata" in lab.node.custody(package).steps[-1].sentence


def test_the_record_alone(lab: Lab, tmp_path: Path) -> None:
    package = lab.archived("s")
    done = export(lab, package, only="record")
    unzip(done.path, tmp_path / "u")
    folder = lab.path(package, "main").name
    names = ["diadem-record.json", "ro-crate-metadata.json", "ro-crate-preview.html"]
    found = contents(tmp_path / "u" / folder)
    assert sorted(found) == names
    assert all(found[name] == (lab.path(package, "main") / "data" / name).read_bytes() for name in names)


# -- sessions of several packages --------------------------------------------------------------------------------------


@pytest.fixture
def chain(lab: Lab) -> tuple[Path, list[str]]:
    """A session archived in two steps."""
    session = lab.session("s")
    first = str(lab.node.archive(session, now=True).package.id)
    (session / "scan 1.bin").write_bytes(b"changed")
    (session / "later.bin").write_bytes(b"later")
    return session, [first, str(lab.node.archive(session, now=True).package.id)]


def test_one_package_of_several_says_so(lab: Lab, chain: tuple[Path, list[str]], tmp_path: Path) -> None:
    _, (first, second) = chain
    done = export(lab, first)
    assert (done.others, [str(one) for one in done.packages]) == (1, [first])
    unzip(done.path, tmp_path / "u")
    assert "1 package more" in (tmp_path / "u" / PAGE).read_text("utf-8")
    assert said(lab, second, "handover") == []


def test_all_packages_of_a_session(lab: Lab, chain: tuple[Path, list[str]], tmp_path: Path) -> None:
    _, ids = chain
    done = export(lab, ids[1], chain=True)
    assert [str(one) for one in done.packages] == ids
    folders = packages_in(done.path, tmp_path / "u")
    found = {diadem.verify(tmp_path / "u" / name, level="full").package_id for name in folders}
    assert found == set(ids)
    assert [len(said(lab, one, "handover")) for one in ids] == [1, 1]


def test_the_files_of_a_session_in_their_newest_version(
    lab: Lab, chain: tuple[Path, list[str]], tmp_path: Path
) -> None:
    session, ids = chain
    done = export(lab, ids[0], chain=True, only="raw")
    unzip(done.path, tmp_path / "u")
    assert contents(tmp_path / "u" / lab.path(ids[0], "main").name) == contents(session)


def test_raw_files_are_given_out_where_a_lost_package_holds_none_of_them_any_more(
    lab: Lab, chain: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """As they are given back."""
    session, ids = chain
    shutil.rmtree(lab.path(ids[0], "main"))
    lab.node.scrub()
    assert lab.node.archive(session, now=True).lost == [ids[0]]
    assert lab.node.restore(ids[1], tmp_path / "back").ok
    done = export(lab, ids[1], chain=True, only="raw")
    assert done.ok
    assert ids[0] not in done.packages
    (folder,) = set(unzip(done.path, tmp_path / "u")) - {PAGE, "manifest-sha256.txt"}
    assert contents(tmp_path / "u" / folder) == contents(tmp_path / "back") == contents(session)


def test_nothing_is_written_into_a_store_by_any_name_of_it(lab: Lab) -> None:
    package = lab.archived("s")
    lab.node.stores.add(lab.second.as_uri(), name="second", place="another disk")
    (lab.root / "link").symlink_to(lab.second)
    for folder in (lab.root / "main", lab.second, lab.root / "link", lab.node.path / "locks"):
        with pytest.raises(Refused, match="inside the archive"):
            lab.node.export(package, folder / "out.zip", for_=MARIE)


# -- people taken out --------------------------------------------------------------------------------------------------

METADATA = {
    "session": {
        "title": "ZnO for M. Curie",
        "date": "2026-03-14",
        "description": "Copied from D:\\Data\\mcurie\\today and checked with pierre@curie.fr",
    },
    "sample": {"name": "ZnO", "provider": "Karl Weiss"},
    "people": [
        {"name": "Marie Curie", "role": "operator", "email": "m.curie@example.org", "orcid": "0000-0002-1825-0097"},
        {"name": "Li Wei"},
    ],
    "instrument": {"name": "Titan 80-300", "model": "Titan"},
}
NAMES = ("curie", "marie", "weiss", "li wei", "pierre", "0000-0002-1825-0097", "mcurie", "alice", "hu-berlin", "quux")


def named_session(lab: Lab) -> str:
    session = lab.session("2026-03-14 Curie")
    (session / "notes.txt").write_bytes(b"taken by MARIE, then sent")
    (session / "wide.bin").write_bytes(b"\x01\x02" + "Weiss".encode("utf-16-le") + bytes(100))
    (session / "weiss").mkdir()
    (session / "weiss" / "plain.bin").write_bytes(b"nothing")
    (session / "packed.bin").write_bytes(b"\x1f\x8b" + bytes(50))
    return str(lab.node.archive(session, now=True, metadata=METADATA).package.id)


def test_nothing_derived_names_anybody_and_the_rest_is_listed(lab: Lab, tmp_path: Path) -> None:
    package = named_session(lab)
    done = lab.node.export(package, tmp_path / "r.zip", for_="Zelda Quux", redact=True)
    assert not done.ok
    assert done.redaction is not None
    assert {(one.path, one.text.casefold(), one.place) for one in done.redaction.remaining} == {
        ("notes.txt", "marie", "byte 9 (UTF-8)"),
        ("wide.bin", "weiss", "byte 2 (UTF-16)"),
        ("weiss/plain.bin", "", "its name"),
    }
    assert done.redaction.unsearched == {"packed.bin": "gzip: it is compressed"}
    names = unzip(done.path, tmp_path / "u")
    (folder,) = [name for name in names if name != PAGE]
    payload = {entry.name for entry in lab.node.get(package).files}
    for path, data in contents(tmp_path / "u").items():
        if path.removeprefix(f"{folder}/data/") not in payload:
            text = (path + data.decode("utf-8")).casefold()
            text = re.sub("weiss/plain.bin|<bdi>weiss</bdi>", "", text)  # the file goes along under its name
            assert not [name for name in NAMES if name in re.sub(r"base64,[^\"]*", "", text)], path
    statement = said(lab, package, "handover")[0]
    assert (statement["to"], "people" in statement["redacted"]) == ("Zelda Quux", True)


def test_what_comes_out_is_an_ordinary_bag_and_no_package(lab: Lab, tmp_path: Path) -> None:
    package = named_session(lab)
    done = lab.node.export(package, tmp_path / "r.zip", for_="Zelda Quux", redact=True)
    names = unzip(done.path, tmp_path / "u")
    (folder,) = [name for name in names if name != PAGE]
    bag = bagit.Bag(str(tmp_path / "u" / folder))
    assert bag.validate()
    assert bag.info["Diadem-Redacted-From"] == package
    report = diadem.verify(tmp_path / "u" / folder)
    assert (report.ok, report.package_id) == (True, None)
    found = contents(tmp_path / "u" / folder)
    assert not any(name.startswith("diadem/") for name in found)
    record = json.loads(found["data/diadem-record.json"])
    assert record["people"] == []
    assert record["instrument"] == METADATA["instrument"]
    assert {file["path"] for dataset in record["datasets"] for file in dataset["files"]} == {
        entry.name for entry in lab.node.get(package).files
    }
    text = (tmp_path / "u" / PAGE).read_text("utf-8")
    assert "has no package id" in re.sub(r"\s+", " ", text)
    assert "package id</strong>" not in text


def test_the_record_alone_can_be_clean(lab: Lab, tmp_path: Path) -> None:
    package = named_session(lab)
    done = lab.node.export(package, tmp_path / "r.zip", for_="Zelda Quux", redact=True, only="record")
    assert done.ok
    unzip(done.path, tmp_path / "u")
    text = "".join(f"{path} {data.decode()}" for path, data in contents(tmp_path / "u").items()).casefold()
    assert not [name for name in NAMES if name in text]


def test_a_rehearsal_finds_the_same_and_writes_nothing(lab: Lab) -> None:
    package = named_session(lab)
    tried = export(lab, package, redact=True, dry_run=True)
    assert (tried.done, given(lab), said(lab, package, "handover")) == (False, [], [])
    done = export(lab, package, redact=True)
    assert tried.redaction == done.redaction


def test_names_that_instruments_wrote_are_found_in_their_files(lab: Lab, shared_data: Path, tmp_path: Path) -> None:
    session = lab.root / "session"
    session.mkdir()
    for name in ("dm/multi_signal.dm3", "emd-velox/fei_emd_image.emd"):
        shutil.copy(shared_data / name, session)
    package = lab.node.archive(session, now=True, as_one=True).package
    assert package.record.datasets[1].value("person.operator") == "JohnDoe"
    done = lab.node.export(package.id, tmp_path / "r.zip", for_="Zelda Quux", redact=True)
    assert done.redaction is not None
    found = {(one.path, one.text) for one in done.redaction.remaining}
    assert {("multi_signal.dm3", "JohnDoe"), ("fei_emd_image.emd", "TALOS-D6308")} <= found
    assert "fei_emd_image.emd" in done.redaction.unsearched
    names = unzip(done.path, tmp_path / "u")
    (folder,) = [name for name in names if name != PAGE]
    cleaned = json.loads((tmp_path / "u" / folder / "data/diadem-record.json").read_bytes())
    assert not any("person.operator" in dataset["fields"] or dataset["raw"] for dataset in cleaned["datasets"])
    page = (tmp_path / "u" / folder / "data/ro-crate-preview.html").read_text("utf-8")
    assert page.count("data:image/") == 2


# -- the letter and the command line -----------------------------------------------------------------------------------


def commands(page: Path, system: str) -> str:
    found = re.search(rf"<h3>{system}</h3>.*?<pre><code>(.*?)</code></pre>", page.read_text("utf-8"), re.DOTALL)
    assert found
    return html.unescape(found[1])


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="this system has no sha256sum")
@pytest.mark.parametrize(("wishes", "inside"), [({}, True), ({"only": "raw"}, False), ({"redact": True}, True)])
def test_the_commands_of_the_letter_do_what_it_says(
    lab: Lab, tmp_path: Path, wishes: dict[str, Any], inside: bool
) -> None:
    package = lab.archived("s")
    done = export(lab, package, **wishes)
    (folder,) = packages_in(done.path, tmp_path / "u")
    script = commands(tmp_path / "u" / PAGE, "Linux")
    place = tmp_path / "u" / folder if inside else tmp_path / "u"
    output = subprocess.run(["sh", "-c", script], cwd=place, capture_output=True, text=True, check=True).stdout
    assert output.count(": OK\n") >= 3
    assert (package.removeprefix("diadem:") in output) == (not wishes)
    damaged = next(path for path in (tmp_path / "u" / folder).rglob("scan 1.bin"))
    damaged.write_bytes(b"x")
    output = subprocess.run(["sh", "-c", script], cwd=place, capture_output=True, text=True, check=False).stdout
    assert "scan 1.bin: FAILED" in output


def test_the_letter_is_one_file_without_scripts_and_says_for_whom(lab: Lab, tmp_path: Path) -> None:
    package = lab.archived("s")
    done = lab.node.export(package, tmp_path / "o.zip", for_="<script>alert(1)</script> & \"Eve\" 'x'")
    unzip(done.path, tmp_path / "u")
    text = (tmp_path / "u" / PAGE).read_text("utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;Eve&quot;" in text
    assert "default-src 'none'" in text
    assert package in text
    assert "alice@hu-berlin" in text
    assert not re.search(r"(src|href)=\"(?!data:image|#)", text)


@pytest.fixture
def run(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """The command line, in this process: its exit code is compared, its standard output returned."""
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]

    def call(*arguments: object, code: int) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            command_line([*map(str, arguments), "--node", str(lab.node.path)])
        shown = capsys.readouterr()
        assert left.value.code == code, shown.out + shown.err
        return shown.out

    yield call
    for number, handler in handlers:
        signal.signal(number, handler)


def test_the_command(lab: Lab, run: Callable[..., str]) -> None:
    package = named_session(lab)
    (lab.root / "given").mkdir()
    target = lab.root / "given" / "o.zip"
    document = json.loads(run("export", package, target, "--for", MARIE, "--json", code=0))
    assert (document["ok"], document["packages"], document["path"]) == (True, [package], str(target))
    assert json.loads(run("export", package, target, "--for", MARIE, "--json", code=4))["error"]["code"] == "refused"
    run("export", package, lab.root / "given" / "p.zip", "--json", code=2)
    shown = run("export", package, lab.root / "given" / "r.zip", "--for", MARIE, "--redact", code=1)
    assert "NOT CLEAN        notes.txt: 'Marie', byte 9 (UTF-8)" in shown
    assert "NOT SEARCHED     packed.bin: gzip" in shown
    run("export", package, lab.root / "given" / "m.zip", "--for", MARIE, "--redact", "--only", "record", code=0)
    assert given(lab) == ["m.zip", "o.zip", "r.zip"]
    assert "of 1 package" not in run("get", package, lab.root / "back", code=0)
