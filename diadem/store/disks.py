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

import contextlib
import glob
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from diadem.model.system_paths import drive_of

_SYSTEM_BLOCK = "/sys/dev/block"
_NETWORK = """
    9p acfs afpfs afs beegfs ceph cifs coda curlftpfs davfs davfs2 drvfs fakeowner gcsfuse gfs2
    glusterfs gpfs grpcfuse lustre mfs moosefs ncpfs nfs nfs4 ocfs2 orangefs osxfs panfs prl_fs pvfs2
    quobyte rclone s3fs seaweedfs smb2 smb3 smbfs sshfs vboxsf virtiofs vmhgfs vmhgfs-fuse webdav weka
    wekafs
"""
#: File systems behind which another machine (or a virtual machine's host) stands: locks and forced writes there are
#: its promises, not this machine's. Names of Linux (without ``fuse.``) and of macOS.
NETWORK = frozenset(_NETWORK.split())
#: File systems in memory: nothing there outlives the machine's next start.
MEMORY = frozenset({"tmpfs", "ramfs"})
_ESCAPE = re.compile(r"\\([0-7]{3})")
_ADDRESS = re.compile(r"(?:^|,)addr=([0-9A-Fa-f.:]+)")
_MAC_LINE = re.compile(r"(.+?) on (/.*) \(([^,)]+)")


def is_network_folder(path: str | os.PathLike[str]) -> str | None:
    """The network file system (``nfs4``, ``cifs``, ``network drive``) that a folder lies on; None for a local disk.

    Where the folder does not exist yet, the next one above it that does counts.
    """
    real = Path(os.path.realpath(path))
    folder = str(next((place for place in (real, *real.parents) if place.exists()), real))
    if sys.platform == "win32":
        return _windows_network(folder)
    mount = mount_of(folder, _mounts())
    return mount.plain_kind if mount is not None and mount.is_network else None


def disk_of(path: str | os.PathLike[str]) -> str | None:
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
    if mount.plain_kind == "zfs":
        return f"disk:zfs:{mount.source.partition('/')[0]}"
    devices = [os.stat(folder).st_dev]
    if mount.source.startswith("/dev/"):
        with contextlib.suppress(OSError):
            devices.append(os.stat(mount.source).st_rdev)  # Btrfs shows only this
    for device in devices:
        if disks := disks_below(f"{os.major(device)}:{os.minor(device)}"):
            return "disk:" + "+".join(disks)
    return None


def _mounts() -> Iterator[Mount]:
    try:
        if sys.platform == "darwin":
            yield from parse_mount(subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=True).stdout)
        else:
            text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
            yield from parse_mountinfo(text)
    except (OSError, subprocess.SubprocessError):
        return


# -- the disks of Linux, by sysfs --------------------------------------------------------------------------------------


def disks_below(device: str, root: str = _SYSTEM_BLOCK) -> tuple[str, ...]:
    """Names of the physical disks below a block device, looked for through partitions, LVM, RAID and encryption.

    `device` is ``major:minor``; none for one that does not exist. A disk is called as its hardware says, if no other
    disk here is called so; else by its number, which may change.
    """
    disks: set[str] = set()
    pending, seen = [os.path.realpath(os.path.join(root, device))], set()
    while pending:
        place = pending.pop()
        if place in seen or not os.path.isfile(os.path.join(place, "dev")):
            continue
        seen.add(place)
        if os.path.isfile(os.path.join(place, "partition")):
            pending.append(os.path.dirname(place))
        elif below := glob.glob("*", root_dir=os.path.join(place, "slaves")):  # none where it cannot be listed
            pending += [os.path.realpath(os.path.join(place, "slaves", name)) for name in below]
        else:
            disks.add(place)
    names = []
    for disk in disks:
        name, number = _hardware_name(disk), _read(os.path.join(disk, "dev"))
        others = {os.path.realpath(os.path.join(root, entry)) for entry in glob.glob("*", root_dir=root)} - {disk}
        whole = (other for other in others if not os.path.isfile(os.path.join(other, "partition")))
        if name and any(_hardware_name(other) == name for other in whole):
            name = f"{name}@{number}"
        names.append(name or number)
    return tuple(sorted(names))


def _hardware_name(place: str) -> str:
    for file in ("wwid", "device/wwid", "serial", "device/serial"):
        if name := re.sub(r"[^A-Za-z0-9._-]+", "-", _read(os.path.join(place, file))).strip("-"):
            return name
    return ""


def _read(file: str) -> str:
    try:
        with open(file, encoding="ascii", errors="replace") as source:
            return source.read(256).strip().strip("\0")
    except OSError:
        return ""


# -- the table of mounted file systems, as Linux and macOS tell it -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system."""

    point: str
    #: ``ext4``, ``nfs4``, ``fuse.sshfs`` …
    kind: str
    #: ``/dev/sda1``, ``nas:/archive``, ``//nas/archive``.
    source: str
    #: ``major:minor`` of the file system, or "" where it is not told.
    device: str = ""
    #: Network address of the server, or "" where it is not told.
    address: str = ""

    @property
    def plain_kind(self) -> str:
        """The kind without ``fuse.``."""
        return self.kind.removeprefix("fuse.").removeprefix("fuseblk.").lower()

    @property
    def is_network(self) -> bool:
        """Whether another machine stands behind it. What a FUSE program mounts from ``host:path`` counts too."""
        remote = self.kind.startswith("fuse.") and bool(re.match(r"(?:[^/@\s]+@)?[^/\s:]+:", self.source))
        return self.plain_kind in NETWORK or remote

    @property
    def share(self) -> str:
        """``share://host/name`` of a network file system: an SMB share whole, whatever folder of it is mounted."""
        host, name = _host_and_name(self.source.replace("\\", "/"))
        host = (self.address or host).lower().rstrip(".")
        host = f"[{host}]" if ":" in host else host
        return f"share://{host}/{name}" if host else f"share:{self.plain_kind}:{self.source}"


def _host_and_name(source: str) -> tuple[str, str]:
    if source.startswith("//"):
        host, _, path = source[2:].partition("/")
        return host.rpartition("@")[2], path.partition("/")[0].lower()
    match = re.match(r"(?:[^/@]+@)?(\[[^\]]+\]|[^/:]+):(.*)", source)
    return (match.group(1).strip("[]"), match.group(2).strip("/")) if match else ("", "")


def parse_mountinfo(text: str) -> Iterator[Mount]:
    """Mounts of Linux: lines of ``/proc/self/mountinfo`` (proc_pid_mountinfo(5))."""
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        before, after = fields.split(" "), rest.split(" ")
        if len(before) < 6 or len(after) < 2:
            continue
        address = _ADDRESS.search(after[2] if len(after) > 2 else "")
        yield Mount(
            point=_plain(before[4]),
            kind=_plain(after[0]),
            source=_plain(after[1]),
            device=before[2],
            address=address.group(1) if address else "",
        )


def parse_mount(text: str) -> Iterator[Mount]:
    """Mounts of macOS: what ``mount`` prints."""
    for line in text.splitlines():
        if match := _MAC_LINE.match(line):
            yield Mount(point=match.group(2), kind=match.group(3), source=match.group(1))


def mount_of(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """The mount that an absolute path without links lies in: the longest that fits, and of equals the last."""
    found: Mount | None = None
    for mount in mounts:
        point = mount.point.rstrip("/") + "/"
        if (path + "/").startswith(point) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _plain(text: str) -> str:
    """Undo the kernel's octal escapes of space, tab, line feed and backslash."""
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), text)


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
