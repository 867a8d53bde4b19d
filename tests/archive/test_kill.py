"""kill -9 at random moments, a full disk, a read-only store: the old state or the new, never anything between."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import diadem
from tests import zygote

CASES = 20


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "session"
    folder.mkdir()
    source = random.Random(7)
    for number in range(60):
        (folder / f"{number}.dat").write_bytes(source.randbytes(20_000))
    (folder / "large.dat").write_bytes(source.randbytes(24_000_000))
    return folder


@pytest.mark.parametrize("seed", range(CASES))
@pytest.mark.sweep(5)
def test_killed_at_a_random_moment(session: Path, tmp_path: Path, seed: int) -> None:
    moment = random.Random(seed).uniform(0.15, 0.9)
    command = [sys.executable, "-m", "diadem", "pack", str(session), str(tmp_path), "--quiet"]
    with zygote.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(moment)
        process.kill()
    packages = [path for year in tmp_path.iterdir() if year.name != ".diadem" for path in year.iterdir()]
    assert all(diadem.verify(path).ok for path in packages)
    again = diadem.pack(session, tmp_path)
    assert again.outcome is not None
    assert again.outcome.created == (not packages)
    assert again.verify(level="full").ok
    stages = tmp_path / ".diadem" / "stage"
    assert not stages.is_dir() or not list(stages.iterdir())


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting a small disk needs root"
)
def test_a_full_disk_is_one_clear_error(session: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this system does not let the test mount a small disk")
    try:
        (disk / "other").write_bytes(b"x" * 40_000_000)
        with pytest.raises(diadem.StoreError, match="bytes free"):
            diadem.pack(session, disk / "store")
        (disk / "other").unlink()
        # The check beforehand can be passed by: another program fills the disk while we write.
        filled = False

        def fill(progress: object) -> None:
            nonlocal filled
            if not filled:
                filled = True
                with contextlib.suppress(OSError):  # it may be full before that, which is as good
                    (disk / "other").write_bytes(b"x" * (shutil.disk_usage(disk).free - 3_000_000))

        small = tmp_path / "small"
        small.mkdir()
        (small / "a.dat").write_bytes(os.urandom(30_000_000))
        with pytest.raises(diadem.StoreError, match="full"):
            diadem.pack(small, disk / "store", listener=fill)
        assert [path.name for path in (disk / "store").iterdir()] == [".diadem"]
        assert not list((disk / "store" / ".diadem" / "stage").iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_store_is_one_clear_error(session: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this system does not let the test mount a small disk")
    try:
        with pytest.raises(diadem.StoreError, match=r"read-only|bytes free"):
            diadem.pack(session, disk / "store")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
