"""The BagIt profile, judged by `bagit-profile` on bags that the sealing code makes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import bagit
import bagit_profile
import pytest

from diadem.errors import PackageError
from diadem.model.manifest import CRATE_PATH, PAGE_PATH, RECORD_PATH, FileEntry, PackageId
from diadem.package.examine import open_tag_files
from diadem.package.tags import PROFILE, HashedFile, seal
from diadem.package.zips import previews_zip
from diadem.store.bags import LocalBundle
from diadem.trust.hashing import LeafHasher
from tests.oracles import bagit_validate, sha256sum_check

SOURCE = Path(__file__).resolve().parents[2] / "schemas" / "bagit-profile" / "diadem-bagit-profile.json"
CONTENT = {
    "data/scan 1.dm4": b"electrons" * 1000,
    "data/Größe/empty.dat": b"",
    RECORD_PATH: b"{}",
    CRATE_PATH: b"{}",
    PAGE_PATH: b"<!DOCTYPE html>",
}


def profile() -> dict[str, Any]:
    """The profile as published."""
    found: dict[str, Any] = json.loads(SOURCE.read_text(encoding="utf-8"))
    return found


def hashed(path: str, data: bytes) -> HashedFile:
    """A file of the bag with its digests."""
    leaves = LeafHasher()
    leaves.update(data)
    return HashedFile(FileEntry(path, len(data), hashlib.sha256(data).hexdigest(), 0), leaves.digest())


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """A bag on disk, as DIADEM seals it, with one thing left out."""
    files = [hashed(path, data) for path, data in CONTENT.items()]
    previews = previews_zip([("d1", b"\x89PNG\r\n\x1a\n")])
    vendor = b"PK\x05\x06" + bytes(18)
    sealed = seal(files, vendor=vendor, previews=previews, date="2026-03-14", software="diadem-em 0.1.0", omitted=1)
    for path, data in {**CONTENT, **sealed.tag_files}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return tmp_path


def complaints(bag: Path) -> list[str]:
    """What `bagit-profile` has against the bag."""
    judge = bagit_profile.Profile(PROFILE, profile=profile())
    judge.validate(bagit.Bag(str(bag)))
    return [str(error) for error in judge.report.errors]


def edit_info(bag: Path, old: str, new: str) -> None:
    """Change `bag-info.txt`."""
    path = bag / "bag-info.txt"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_sealed_bag_keeps_the_profile_and_every_peer_accepts_it(bag: Path) -> None:
    assert complaints(bag) == []
    assert bagit_validate(bag) == []
    assert sha256sum_check(bag) == []


def test_a_continuation_names_its_predecessor_in_the_terms_of_the_profile(bag: Path) -> None:
    files = [hashed(path, data) for path, data in CONTENT.items()]
    earlier = PackageId("ab" * 32)
    sealed = seal(files, vendor=b"PK\x05\x06" + bytes(18), date="2026-03-14", software="s", continues=earlier)
    assert f"Diadem-Continues: {earlier}\n".encode() in sealed.tag_files["bag-info.txt"]
    for path, data in sealed.tag_files.items():
        (bag / path).write_bytes(data)
    assert complaints(bag) == []
    assert bagit_validate(bag) == []
    opened = open_tag_files(LocalBundle(bag))
    assert opened.continues == earlier
    assert replace(opened, bag_info=[]).continues is None
    for wrong in (["no id"], [str(earlier), str(earlier)]):
        with pytest.raises(PackageError, match="not one package id"):
            _ = replace(opened, bag_info=[("Diadem-Continues", value) for value in wrong]).continues


def test_peers_find_damage(bag: Path) -> None:
    (bag / "data" / "scan 1.dm4").write_bytes(b"Electrons" + b"electrons" * 999)
    assert "scan 1.dm4" in "".join(bagit_validate(bag))
    assert "scan 1.dm4: FAILED" in "".join(sha256sum_check(bag))


def test_fetch_is_not_allowed(bag: Path) -> None:
    (bag / "fetch.txt").write_text("https://example.org/scan 9 data/scan 1.dm4\n")
    assert "Fetch.txt is present" in "".join(complaints(bag))


@pytest.mark.parametrize("path", ["diadem/index.tsv", "diadem/leaves.blake3", "diadem/vendor.zip"])
def test_every_tag_file_is_required(bag: Path, path: str) -> None:
    (bag / path).unlink()
    assert Path(path).name in "".join(complaints(bag))


@pytest.mark.parametrize("path", ["notes.txt", "diadem/more.bin"])
def test_no_other_tag_file_is_allowed(bag: Path, path: str) -> None:
    (bag / path).write_bytes(b"")
    assert Path(path).name in "".join(complaints(bag))


def test_no_other_manifest_is_allowed(bag: Path) -> None:
    lines = [f"{hashlib.sha512(data).hexdigest()}  {path}\n" for path, data in CONTENT.items()]
    (bag / "manifest-sha512.txt").write_bytes("".join(lines).encode())
    assert "sha512" in "".join(complaints(bag))


REQUIRED = ["BagIt-Profile-Identifier", "Bagging-Date", "External-Identifier", "Payload-Oxum", "Diadem-Payload-Id"]


@pytest.mark.parametrize("label", REQUIRED)
def test_required_fields(bag: Path, label: str) -> None:
    assert profile()["Bag-Info"][label]["required"]
    edit_info(bag, f"{label}: ", "Other: ")
    assert label in "".join(complaints(bag))


def test_optional_fields_may_be_absent(bag: Path) -> None:
    edit_info(bag, "Diadem-Omitted: 1\n", "")
    edit_info(bag, "Bag-Software-Agent: diadem-em 0.1.0\n", "")
    assert complaints(bag) == []


def test_profile_is_the_one_that_bags_name_and_explains_every_field_they_write(bag: Path) -> None:
    stated = profile()
    assert stated["BagIt-Profile-Info"]["BagIt-Profile-Identifier"] == PROFILE
    assert stated["Bag-Info"]["BagIt-Profile-Identifier"]["values"] == [PROFILE]
    written = {line.partition(": ")[0] for line in (bag / "bag-info.txt").read_text(encoding="utf-8").splitlines()}
    assert written <= set(stated["Bag-Info"])
    assert all(entry["description"] for entry in stated["Bag-Info"].values())
