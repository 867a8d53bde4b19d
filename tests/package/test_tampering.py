"""No byte of a package can change, and no file come, go or move, without a finding."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, MANIFEST, TAGMANIFEST, VENDOR_PATH
from diadem.model.report import Level
from diadem.package.tags import Sealed
from diadem.package.verify import verify
from diadem.store.bags import LocalBundle
from tests.package.sample_bags import write_package

PAYLOAD = {"a/scan.bin": bytes(range(256)) * 30, "b.txt": b"hello\n", "c/empty": b"", "ü ber.tif": b"II*\0" * 10}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sealed]:
    folder = tmp_path_factory.mktemp("tampering")
    return folder, write_package(folder, PAYLOAD)


def is_found(folder: Path, level: Level) -> bool:
    return not verify(LocalBundle(folder), level=level, workers=1).ok


def unseen_flips(folder: Path, path: str) -> list[tuple[int, int]]:
    """Flip every bit of a file, one at a time; return those that were not found, as place and mask."""
    target = folder / path
    content = target.read_bytes()
    unseen = []
    for place in range(len(content)):
        for mask in (1 << bit for bit in range(8)):
            changed = bytearray(content)
            changed[place] ^= mask
            target.write_bytes(changed)
            if not is_found(folder, Level.QUICK):
                unseen.append((place, mask))
    target.write_bytes(content)
    return unseen


TAGS = ["bagit.txt", "bag-info.txt", MANIFEST, INDEX_PATH, LEAVES_PATH, VENDOR_PATH, TAGMANIFEST]


@pytest.mark.parametrize("path", TAGS)
@pytest.mark.sweep(2)
def test_every_flip_in_a_tag_file_is_found_even_of_case(package: tuple[Path, Sealed], path: str) -> None:
    assert unseen_flips(package[0], path) == []


def test_flips_in_the_payload_are_found(package: tuple[Path, Sealed]) -> None:
    folder, sealed = package
    chance = random.Random(20260314)
    for entry in sealed.manifest:
        target = folder / entry.path
        content = target.read_bytes()
        for place in chance.sample(range(len(content)), min(20, len(content))):
            changed = bytearray(content)
            changed[place] ^= 1 << chance.randrange(8)
            target.write_bytes(changed)
            assert is_found(folder, Level.LEAVES), (entry.path, place)
            assert is_found(folder, Level.FULL), (entry.path, place)
        target.write_bytes(content)
    assert not is_found(folder, Level.FULL)


def test_every_deletion_and_renaming_is_found(package: tuple[Path, Sealed]) -> None:
    folder, sealed = package
    for path in [*sealed.tag_files, *(entry.path for entry in sealed.manifest)]:
        target = folder / path
        content = target.read_bytes()
        target.unlink()
        assert is_found(folder, Level.QUICK), path
        moved = target.with_name(target.name + "x")
        moved.write_bytes(content)
        assert is_found(folder, Level.QUICK), path
        moved.unlink()
        target.write_bytes(content)
    assert not is_found(folder, Level.QUICK)


def test_even_with_all_other_signs_gone_it_is_no_sound_bag(package: tuple[Path, Sealed]) -> None:
    """Deleting any two tag files together does not make the package pass as somebody else's bag."""
    folder, sealed = package
    tags = list(sealed.tag_files)
    for first in tags:
        for second in tags:
            for path in {first, second}:
                (folder / path).unlink()
            found = is_found(folder, Level.QUICK)
            for path in {first, second}:
                (folder / path).write_bytes(sealed.tag_files[path])
            assert found, (first, second)


@given(
    st.sampled_from(["", "data/", "data/a/", "diadem/", "other/"]),
    st.text("abcü.~ -_0", min_size=1, max_size=8).filter(lambda name: name.strip(". ") == name and name != ""),
)
@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_added_file_is_found(package: tuple[Path, Sealed], folder: str, name: str) -> None:
    target = package[0] / folder / name
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(b"")
    try:
        assert is_found(package[0], Level.QUICK)
    finally:
        target.unlink()
