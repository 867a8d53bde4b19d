"""The table of mounted file systems, as Linux and macOS tell it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system.

    Attributes
    ----------
    point : str
        Where it is mounted.
    kind : str
        ``ext4``, ``nfs4``, ``fuse.sshfs`` …
    source : str
        What is mounted: ``/dev/sda1``, ``nas:/archive``, ``//nas/archive``.
    device : str
        ``major:minor`` of the file system, or "" where it is not told.
    address : str
        Network address of the server, or "" where it is not told.
    """

    point: str
    kind: str
    source: str
    device: str = ""
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
