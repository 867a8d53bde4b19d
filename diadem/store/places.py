r"""On which disk or share a folder lies: two copies on one disk are one copy, and a node needs a local one.

========================  =================================================================================
``disk:wwn-0x5000c500…``  one physical disk (Linux), by the name the hardware gives it; else ``disk:8:0``
``disk:disk0``            one disk (macOS); ``disk:1a2b3c4d`` one volume, by its serial number (Windows)
``disk:A+B``              a file system over several disks, each named as above
``share://nas/archive``   a network share; by the server's address where the system tells it
``memory``                a file system in memory
========================  =================================================================================
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from diadem.model.system_paths import drive_of
from diadem.store.mounts import MEMORY, Mount, mount_of, parse_mount, parse_mountinfo

_SYSTEM_BLOCK = "/sys/dev/block"


def is_network_folder(path: str | os.PathLike[str]) -> str | None:
    """The name of the network file system that a folder lies on, or None for a disk of this machine.

    Parameters
    ----------
    path : str or os.PathLike
        A folder; where it does not exist yet, the next one above it that does counts.

    Returns
    -------
    str or None
        ``nfs4``, ``cifs``, ``sshfs``, ``9p`` …, ``network share`` or ``network drive`` (Windows).
    """
    folder = _existing(path)
    if sys.platform == "win32":
        return _windows_network(folder)
    mount = mount_of(folder, _mounts())
    return mount.plain_kind if mount is not None and mount.is_network else None


def place_of(path: str | os.PathLike[str]) -> str | None:
    """Identity of the disk or share that a folder lies on; None where it is not known or the folder is not there."""
    if not os.path.isdir(path):
        return None
    folder = os.path.realpath(path)
    if sys.platform == "win32":
        return _windows_share(folder) or f"disk:{os.stat(folder).st_dev:08x}"
    mount = mount_of(folder, _mounts())
    if mount is None:
        return None
    if mount.is_network:
        return mount.share
    if mount.plain_kind in MEMORY:
        return "memory"
    if sys.platform == "darwin":
        match = re.match(r"/dev/(disk\d+)", mount.source)
        return f"disk:{match.group(1)}" if match else None
    return _linux_disk(folder, mount)


def _existing(path: str | os.PathLike[str]) -> str:
    folder = Path(os.path.realpath(path))
    return str(next((place for place in (folder, *folder.parents) if place.exists()), folder))


def _mounts() -> Iterator[Mount]:
    try:
        if sys.platform == "darwin":
            yield from parse_mount(subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=True).stdout)
        else:
            text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
            yield from parse_mountinfo(text)
    except (OSError, subprocess.SubprocessError):
        return


# -- Linux -------------------------------------------------------------------------------------------------------------


def _linux_disk(folder: str, mount: Mount) -> str | None:
    """The physical disks below a file system, by sysfs."""
    if mount.plain_kind == "zfs":
        return f"disk:zfs:{mount.source.partition('/')[0]}"
    for device in (_device_number(os.stat(folder).st_dev), _source_number(mount.source)):  # Btrfs shows only the second
        disks = disks_below(device) if device else ()
        if disks:
            return "disk:" + "+".join(disks)
    return None


def _device_number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _source_number(source: str) -> str:
    try:
        return _device_number(os.stat(source).st_rdev) if source.startswith("/dev/") else ""
    except OSError:
        return ""


def disks_below(device: str, root: str = _SYSTEM_BLOCK) -> tuple[str, ...]:
    """Names of the physical disks below a block device, looked for through partitions, LVM, RAID and encryption.

    Parameters
    ----------
    device : str
        ``major:minor``.
    root : str
        Where the kernel keeps its block devices by number.

    Returns
    -------
    tuple of str
        Sorted; empty where there is no such block device.
    """
    names: set[str] = set()
    pending, seen = [os.path.realpath(os.path.join(root, device))], set()
    while pending:
        place = pending.pop()
        if place in seen or not os.path.isfile(os.path.join(place, "dev")):
            continue
        seen.add(place)
        if os.path.isfile(os.path.join(place, "partition")):
            pending.append(os.path.dirname(place))
        elif below := _entries(os.path.join(place, "slaves")):
            pending += [os.path.realpath(os.path.join(place, "slaves", name)) for name in below]
        else:
            names.add(_disk_name(place, root))
    return tuple(sorted(names))


def _disk_name(place: str, root: str) -> str:
    """What the hardware calls a disk, if no other disk here is called so; else its number, which may change."""
    number = _read(os.path.join(place, "dev"))
    name = _hardware_name(place)
    if not name:
        return number
    others = {os.path.realpath(os.path.join(root, entry)) for entry in _entries(root)} - {place}
    whole = (other for other in others if not os.path.isfile(os.path.join(other, "partition")))
    return f"{name}@{number}" if any(_hardware_name(other) == name for other in whole) else name


def _hardware_name(place: str) -> str:
    for file in ("wwid", "device/wwid", "serial", "device/serial"):
        if name := re.sub(r"[^A-Za-z0-9._-]+", "-", _read(os.path.join(place, file))).strip("-"):
            return name
    return ""


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _read(file: str) -> str:
    try:
        with open(file, encoding="ascii", errors="replace") as source:
            return source.read(256).strip().strip("\0")
    except OSError:
        return ""


# -- Windows -----------------------------------------------------------------------------------------------------------

if sys.platform == "win32":
    import ctypes

    _DRIVE_REMOTE = 4  # fileapi.h, GetDriveTypeW

    def _windows_network(folder: str) -> str | None:
        drive = drive_of(folder)
        if drive.startswith("\\\\"):
            return "network share"
        return "network drive" if ctypes.windll.kernel32.GetDriveTypeW(drive + "\\") == _DRIVE_REMOTE else None

    def _windows_share(folder: str) -> str | None:
        drive = drive_of(folder)
        if not drive.startswith("\\\\"):
            size = ctypes.c_ulong(1024)
            buffer = ctypes.create_unicode_buffer(size.value)
            if ctypes.windll.mpr.WNetGetConnectionW(drive, buffer, ctypes.byref(size)):
                return None
            drive = buffer.value
        return Mount(point=drive, kind="cifs", source=drive).share
