"""What Linux itself keeps a worker from, machine code included: the network, files by Landlock, calls by seccomp.

Neither needs rights or a package. Landlock (kernel 5.13 and later) opens only what lies below the places that are
named: code and one folder of data to read, the scratch folder to write. The seccomp filter lets a process start no
program and no process, reach no socket, no other process and no mount, and change no owner, mode or time of a file.
Both can only be narrowed, never lifted, and both are passed on to whatever the process starts.

Numbers: `include/uapi/linux/landlock.h`, `seccomp.h`, `filter.h`; system calls as in `syscalls(2)` of each of the two
architectures.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import stat
import struct
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

_LINUX: Final = str(sys.platform).startswith("linux")

# -- Landlock ------------------------------------------------------------------------------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKING = 0b1_1111_1111_0000  # remove and make whatever there is: bits 4 to 12
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_ALL = _EXECUTE | _WRITE_FILE | _READ_FILE | _READ_DIR | _MAKING
#: What a version of Landlock knows besides: from that version on.
_SINCE = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV))
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_TCP, _TCP_SINCE = 0b11, 4
_SCOPES, _SCOPES_SINCE = 0b11, 6  # abstract Unix sockets and signals

#: What libraries look at besides Python's own places, where it is there.
_SYSTEM_PLACES: Final = (
    "/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/libexec",
    "/nix/store", "/gnu/store", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
    "/etc/timezone", "/usr/share/zoneinfo", "/usr/share/locale", "/dev/urandom", "/dev/random", "/dev/zero",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/filesystems", "/proc/sys/vm",
    "/proc/sys/kernel/random", "/sys/devices/system", "/sys/fs/cgroup",
)  # fmt: skip


def landlock_version() -> int:
    """The version of Landlock that the kernel has; 0 where it has none, or it is switched off."""
    return max(0, _call(_CREATE_RULESET, None, 0, _VERSION)) if _LINUX else 0


def limit_files(readable: Iterable[str], scratch: str, version: int) -> bool:
    """Let the process read only below some places, and write only below one, from now on; return whether it is so.

    Those of the system's libraries and of the process itself need not be named; `version` is the kernel's Landlock's.
    """
    handled = _ALL | sum(right for since, right in _SINCE if version >= since)
    tcp, scopes = _TCP if version >= _TCP_SINCE else 0, _SCOPES if version >= _SCOPES_SINCE else 0
    about = struct.pack("=QQQ", handled, tcp, scopes)
    size = 8 if version < _TCP_SINCE else 16 if version < _SCOPES_SINCE else 24
    ruleset = _call(_CREATE_RULESET, about, size, 0)
    if ruleset < 0:
        return False
    try:
        read = _READ_FILE | _READ_DIR
        rules = [
            *((place, read) for place in (*readable, *_SYSTEM_PLACES, *_loaded_from(), f"/proc/{os.getpid()}")),
            (os.devnull, read | _WRITE_FILE),
            (scratch, handled & ~_EXECUTE),
        ]
        done = [_allow(ruleset, place, rights & handled) for place, rights in dict(rules).items()]
        return done[-1] and _no_new_rights() and _call(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(ruleset: int, place: str, rights: int) -> bool:
    """Add a rule; a place that is not there needs none."""
    try:
        opened = os.open(place, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _OF_FILES
        return _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0) == 0
    finally:
        os.close(opened)


def _loaded_from() -> Iterator[str]:
    """Folders of the libraries that are loaded: others that they load lie beside them."""
    with contextlib.suppress(OSError):
        maps = Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines()
        places = {line.split(maxsplit=5)[5] for line in maps if ".so" in line and "/" in line}
        yield from {str(Path(place).parent) for place in places}


# -- seccomp -------------------------------------------------------------------------------------------------------

#: Calls that no reader needs: number on x86-64 and on AArch64, None where there is none.
_REFUSED: Final[dict[str, tuple[int | None, int | None]]] = {
    # other programs and processes
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setns": (308, 268),
    "unshare": (272, 97),
    # sockets, and what processes share; a pair of sockets of one's own is allowed, and so is to send on it
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendmsg": (46, 211), "sendmmsg": (307, 269), "shmget": (29, 194), "shmat": (30, 196),
    "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    # files in other ways than by a path, and what Landlock does not know: owners, modes, times, attributes
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "chmod": (90, None), "fchmod": (91, 52),
    "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "lchown": (94, None), "fchown": (93, 55),
    "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None), "futimesat": (261, None),
    "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "setxattrat": (463, 463),
    "removexattrat": (466, 466), "file_setattr": (469, 469), "truncate": (76, 45),
    # the machine
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "open_tree_attr": (467, 467), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "bpf": (321, 280),
    "userfaultfd": (323, 282), "perf_event_open": (298, 241), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162), "syslog": (103, 116),
    "personality": (135, 92), "vhangup": (153, 58), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
    "fanotify_init": (300, 262),
}  # fmt: skip
#: Calls that are looked into: without a thread, of another process, with an address.
_CLONE, _CLONE3 = (56, 220), (435, 435)
_OPEN, _OPENAT, _OPENAT2 = (2, None), (257, 56), (437, 437)
_EMPTIED, _WRITTEN = 0o1000, 0o3  # O_TRUNC, and both of O_WRONLY and O_RDWR
_KILL, _TGKILL, _PRLIMIT64, _SENDTO = (62, 129), (234, 131), (302, 261), (44, 206)
_CLONE_THREAD, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00010000, 0x10000000, 0x40000000
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000  # the other numbers of x86-64

_PR_SET_NO_NEW_PRIVS, _SECCOMP = 38, {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, BPF_JMP|…|K, BPF_RET|K
_ALLOW, _EPERM, _ENOSYS, _KILL_PROCESS = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # struct seccomp_data; arguments of 64 bits, little-endian on both


def limit_calls() -> bool:
    """Let all threads of this process, from now on, make no call that is refused; return whether it is so."""
    machine = platform.machine()
    if not _LINUX or machine not in _ARCHITECTURES or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return False
    code = b"".join(struct.pack("=HBBI", *step) for step in _program(machine, os.getpid()))
    program = ctypes.create_string_buffer(code)
    about = struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(program))  # struct sock_fprog
    return _no_new_rights() and _call(_SECCOMP[machine], _SET_MODE_FILTER, _FLAG_TSYNC, about) == 0


def _program(machine: str, own: int) -> Iterator[tuple[int, int, int, int]]:
    """The filter: code, where to go if it is so and if not, and the value of each step."""
    which = 0 if machine == "x86_64" else 1
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _EQUAL, 1, 0, _ARCHITECTURES[machine]
    yield _RETURN, 0, 0, _KILL_PROCESS
    yield _LOAD, 0, 0, _NUMBER
    if machine == "x86_64":
        yield _AT_LEAST, 0, 1, _X32
        yield _RETURN, 0, 0, _ENOSYS
    for number in (_CLONE3[which], _OPENAT2[which]):  # their flags lie in memory, which a filter cannot see:
        yield _EQUAL, 0, 1, number or 0  # libraries take `clone` and `openat` then
        yield _RETURN, 0, 0, _ENOSYS
    for number in sorted(numbers[which] or 0 for numbers in _REFUSED.values() if numbers[which] is not None):
        yield _EQUAL, 0, 1, number
        yield _RETURN, 0, 0, _EPERM
    for opening, flags in ((_OPEN[which], 1), (_OPENAT[which], 2)):  # early Landlocks let readers empty a file
        if opening is not None:
            yield _EQUAL, 0, 5, opening
            yield _LOAD, 0, 0, _ARGUMENTS + 8 * flags
            yield _ANY_BIT, 0, 2, _EMPTIED
            yield _ANY_BIT, 1, 0, _WRITTEN
            yield _RETURN, 0, 0, _EPERM
            yield _RETURN, 0, 0, _ALLOW
    yield from _looked_into(_CLONE[which], 0, (_ANY_BIT, _CLONE_THREAD))
    for number in (_KILL[which], _TGKILL[which]):
        yield from _looked_into(number, 0, (_EQUAL, own))
    yield from _looked_into(_PRLIMIT64[which], 0, (_EQUAL, own), (_EQUAL, 0))
    yield from _looked_into(_SENDTO[which], 4, (_EQUAL, 0))
    yield _RETURN, 0, 0, _ALLOW


def _looked_into(number: int, argument: int, *allowed: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Refuse a call unless the lower half of an argument is one of what is allowed; an address has both halves zero."""
    upper = argument == 4
    tests = len(allowed)
    yield _EQUAL, 0, tests + 3 + 2 * upper, number
    if upper:
        yield _LOAD, 0, 0, _ARGUMENTS + 8 * argument + 4
        yield _EQUAL, 0, tests + 1, 0
    yield _LOAD, 0, 0, _ARGUMENTS + 8 * argument
    for index, (code, value) in enumerate(allowed):
        yield code, tests - index, 0, value
    yield _RETURN, 0, 0, _EPERM
    yield _RETURN, 0, 0, _ALLOW


def _no_new_rights() -> bool:
    """What both ask for: no program that is started may have more rights."""
    return _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0  # type: ignore[no-any-return]


def cut_network() -> str:
    """Leave the network for an empty one, ``none``, where Linux lets us; must run before the process has threads.

    Elsewhere it is ``refused``: only the audit hook stands before it.
    """
    ways = (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET)
    return "none" if _LINUX and any(_libc().unshare(way) == 0 for way in ways) else "refused"


def die_with_parent() -> None:
    """Have the system end this process with the one that started it."""
    _libc().prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL


def _call(number: int, *arguments: int | bytes | None) -> int:
    """A system call; -1 where it fails, or there is no such thing."""
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    try:
        return int(_libc().syscall(ctypes.c_long(number), *given))
    except (AttributeError, OSError):
        return -1


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
