"""On which disk or share a folder lies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from diadem.store import open_store
from diadem.store.disks import Mount, disk_of, disks_below, is_network_folder, mount_of, parse_mount, parse_mountinfo

LINUX = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw,errors=remount-ro
90 27 8:17 / /media/My\040Disk rw - ext4 /dev/sdb1 rw
91 27 0:50 / /mnt/nas rw,relatime shared:2 master:3 - cifs //NAS.local/Archive/em rw,vers=3.1.1,addr=192.168.1.5,uid=0
92 27 0:51 / /mnt/nas/inner rw - nfs4 nas:/vol1/em rw,vers=4.2,clientaddr=10.0.0.2,local_lock=none,addr=fd00::7
93 27 0:52 / /home/ada/remote rw - fuse.sshfs ada@microscope:/data rw,user_id=1000
94 27 0:53 / /mnt/c rw - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\;uid=1000,trans=fd
95 27 0:54 / /mnt/odd rw - fuse.somefs server:/x rw
96 27 0:55 / /mnt/ntfs rw - fuseblk /dev/sdc1 rw
97 27 0:56 / /dev/shm rw - tmpfs tmpfs rw
98 27 8:33 / /mnt/nas rw - xfs /dev/sdc1 rw
broken line
"""
MAC = """
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
//ada@nas.local/archive on /Volumes/archive (smbfs, nodev, nosuid, mounted by ada)
nas:/vol1 on /Volumes/My (old) Share (nfs, nodev)
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/home/ada", "ext4", False),
        ("/media/My Disk/store", "ext4", False),
        ("/media/My Disks", "ext4", False),
        ("/mnt/nas/inner/x", "nfs4", True),
        ("/home/ada/remote", "sshfs", True),
        ("/mnt/c/Users", "9p", True),
        ("/mnt/odd", "somefs", True),
        ("/mnt/ntfs", "fuseblk", False),
        ("/mnt/nas", "xfs", False),  # what was mounted last hides what was there
    ],
)
def test_linux_mounts(path: str, kind: str, network: bool) -> None:
    mount = mount_of(path, parse_mountinfo(LINUX))
    assert mount is not None
    assert (mount.plain_kind, mount.is_network) == (kind, network)


def test_shares_are_named_by_server_and_share() -> None:
    """One share under two names, or two folders of it, is one place."""
    shares = {mount.point: mount.share for mount in parse_mountinfo(LINUX) if mount.is_network}
    assert shares["/mnt/nas"] == "share://192.168.1.5/archive"
    assert shares["/mnt/nas/inner"] == "share://[fd00::7]/vol1/em"
    assert shares["/home/ada/remote"] == "share://microscope/data"
    other = Mount("/x", "cifs", "//192.168.1.5/ARCHIVE/other", address="192.168.1.5")
    assert other.share == shares["/mnt/nas"]
    assert Mount("Z:", "cifs", "\\\\NAS\\archive").share == "share://nas/archive"


def test_mac_mounts() -> None:
    mounts = list(parse_mount(MAC))
    data = mount_of("/System/Volumes/Data/em", mounts)
    share = mount_of("/Volumes/archive/store", mounts)
    odd = mount_of("/Volumes/My (old) Share/x", mounts)
    assert (data and data.source, data and data.is_network) == ("/dev/disk3s5", False)
    assert share is not None
    assert (share.share, share.is_network) == ("share://nas.local/archive", True)
    assert odd is not None
    assert odd.kind == "nfs"


def block(root: Path, number: str, place: str, *, partition: bool = False, wwid: str = "") -> Path:
    """A block device as sysfs shows it: a folder, and a link to it by its number."""
    folder = root / "devices" / place
    folder.mkdir(parents=True)
    (folder / "dev").write_text(number + "\n")
    if partition:
        (folder / "partition").write_text("1\n")
    if wwid:
        (folder / "device").mkdir()
        (folder / "device" / "wwid").write_text(wwid + "\n")
    (root / "block").mkdir(exist_ok=True)
    (root / "block" / number).symlink_to(folder)
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="sysfs is Linux's")
def test_partitions_and_volumes_stand_on_disks(tmp_path: Path) -> None:
    """Partitions, encryption, LVM and RAID are looked through; a name that two disks have is no name."""
    block(tmp_path, "8:0", "sda", wwid="naa.5000c500a1b2c3d4")
    block(tmp_path, "8:1", "sda/sda1", partition=True)
    second = block(tmp_path, "8:2", "sda/sda2", partition=True)
    block(tmp_path, "8:16", "sdb", wwid="usb  0000")
    third = block(tmp_path, "8:17", "sdb/sdb1", partition=True)
    block(tmp_path, "8:32", "sdc", wwid="usb 0000")
    block(tmp_path, "8:48", "sdd")
    volume = block(tmp_path, "253:0", "dm-0")
    (volume / "slaves").mkdir()
    for slave in (second, third):
        (volume / "slaves" / slave.name).symlink_to(slave)
    crypt = block(tmp_path, "253:1", "dm-1")
    (crypt / "slaves").mkdir()
    (crypt / "slaves" / "dm-0").symlink_to(volume)
    root = str(tmp_path / "block")
    assert disks_below("8:1", root) == disks_below("8:2", root) == disks_below("8:0", root) == ("naa.5000c500a1b2c3d4",)
    assert disks_below("8:17", root) == ("usb-0000@8:16",)
    assert disks_below("8:48", root) == ("8:48",)
    assert disks_below("253:1", root) == ("naa.5000c500a1b2c3d4", "usb-0000@8:16")
    assert disks_below("0:99", root) == ()


def test_folders_of_one_disk_have_one_place(tmp_path: Path) -> None:
    """Of this machine as it is, whatever that is."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert disk_of(tmp_path / "none") is None
    assert open_store(tmp_path / "none").place() is None
    assert is_network_folder(tmp_path / "not" / "there" / "yet") == is_network_folder(tmp_path)
    place = disk_of(tmp_path / "a")
    assert place == disk_of(tmp_path / "b") == open_store(tmp_path / "a").place()
    if place is None:
        pytest.skip("this system does not say on which disk the folders of tests lie")
    assert place.startswith(("disk:", "share:", "memory"))


@pytest.fixture
def memory_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this system does not let the test mount")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_another_disk_is_another_place(memory_disk: Path) -> None:
    assert disk_of(memory_disk) == "memory"
    assert disk_of(memory_disk) != disk_of(Path(__file__).parent)
    assert is_network_folder(memory_disk) is None


def test_a_real_disk_image_is_found_in_sysfs(tmp_path: Path) -> None:
    """A loop device with a real file system: its place is its block device, not that of the folder around it."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    image, disk = tmp_path / "image", tmp_path / "disk"
    image.write_bytes(bytes(4 << 20))
    disk.mkdir()
    made = subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=False, capture_output=True).returncode == 0
    if not made or subprocess.run(["mount", "-o", "loop", str(image), str(disk)], check=False).returncode:
        pytest.skip("this system does not let the test mount an image")
    try:
        number = f"{os.major(os.stat(disk).st_dev)}:{os.minor(os.stat(disk).st_dev)}"
        assert disk_of(disk) == f"disk:{number}"
        assert disk_of(disk) != disk_of(tmp_path)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
