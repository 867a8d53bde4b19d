"""Opening a package: everything pinned by the id, or one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from diadem.errors import IntegrityError, PackageError, UsageError
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, MANIFEST, TAGMANIFEST
from diadem.package.examine import open_tag_files
from diadem.package.tags import Sealed
from diadem.store.bags import LocalBundle
from tests.package.sample_bags import write_bag, write_package

PAYLOAD = {"scan.bin": bytes(range(256)) * 5000, "notes.txt": b"hello\n", "empty": b""}


@pytest.fixture
def package(tmp_path: Path) -> Sealed:
    return write_package(tmp_path, PAYLOAD)


def test_what_was_sealed_is_what_is_opened(tmp_path: Path, package: Sealed) -> None:
    opened = open_tag_files(LocalBundle(tmp_path), expected_id=package.package_id)
    assert opened.id == package.package_id
    assert opened.payload_id == package.payload_id
    assert opened.manifest == package.manifest
    assert opened.leaves == package.leaves
    assert ("Diadem-Payload-Id", package.payload_id) in opened.bag_info


@pytest.mark.parametrize("path", ["bagit.txt", "bag-info.txt", MANIFEST, INDEX_PATH, LEAVES_PATH])
def test_a_changed_or_missing_tag_file_is_named(tmp_path: Path, package: Sealed, path: str) -> None:
    assert package.package_id
    content = bytearray((tmp_path / path).read_bytes())
    content[0] ^= 1
    (tmp_path / path).write_bytes(content)
    with pytest.raises(IntegrityError, match="not what the tag manifest lists") as caught:
        open_tag_files(LocalBundle(tmp_path))
    assert caught.value.where == path
    (tmp_path / path).unlink()
    with pytest.raises(IntegrityError, match="missing") as caught:
        open_tag_files(LocalBundle(tmp_path))
    assert caught.value.where == path


def test_without_a_tag_manifest_there_is_no_package(tmp_path: Path, package: Sealed) -> None:
    assert package.package_id
    (tmp_path / TAGMANIFEST).unlink()
    with pytest.raises(PackageError, match="not a DIADEM package"):
        open_tag_files(LocalBundle(tmp_path))


def test_another_bag_is_not_a_package(tmp_path: Path) -> None:
    write_bag(tmp_path, PAYLOAD)
    with pytest.raises(PackageError, match="not a DIADEM package"):
        open_tag_files(LocalBundle(tmp_path))


def test_another_id_is_refused(tmp_path: Path, package: Sealed) -> None:
    assert package.package_id
    with pytest.raises(IntegrityError, match="not diadem:0000"):
        open_tag_files(LocalBundle(tmp_path), expected_id="diadem:" + "0" * 64)
    with pytest.raises(UsageError):
        open_tag_files(LocalBundle(tmp_path), expected_id="nonsense")


def test_a_resealed_lie_about_the_payload_is_found(tmp_path: Path, package: Sealed) -> None:
    """Whoever rewrites the tag manifest as well gets another id, and must still not contradict himself."""
    import hashlib

    info = (tmp_path / "bag-info.txt").read_text().replace(package.payload_id, "0" * 64)
    (tmp_path / "bag-info.txt").write_text(info, newline="\n")
    old = hashlib.sha256(package.tag_files["bag-info.txt"]).hexdigest()
    text = (tmp_path / TAGMANIFEST).read_text().replace(old, hashlib.sha256(info.encode()).hexdigest())
    (tmp_path / TAGMANIFEST).write_text(text, newline="\n")
    with pytest.raises(IntegrityError, match="Diadem-Payload-Id is 0000"):
        open_tag_files(LocalBundle(tmp_path))
