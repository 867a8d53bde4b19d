"""A reader that has taken over its process: it asks the C library, past Python and its audit hook."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from pathlib import Path
from typing import Any

from hostile_readers import signal

_LIBC: Any = ctypes.CDLL(None, use_errno=True) if os.name != "nt" else None
_AT_FDCWD = -100


def _opened(path: str, flags: int = os.O_RDONLY) -> bool:
    return int(_LIBC.open(os.fsencode(path), flags, 0o600)) >= 0


def _connected(family: int, address: bytes) -> bool:
    made = _LIBC.socket(family, 1, 0)
    return made >= 0 and _LIBC.connect(made, address, len(address)) == 0


def _sent(path: str) -> bool:
    """To a Unix socket of the machine, from a pair of sockets of one's own."""
    pair = (ctypes.c_int * 2)()
    address = struct.pack("=H", socket.AF_UNIX) + os.fsencode(path) + b"\0"
    return (
        _LIBC.socketpair(socket.AF_UNIX, 2, 0, pair) == 0
        and _LIBC.sendto(pair[0], b"x", 1, 0, address, len(address)) > 0
    )


def escape(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Try every door; the file says where they are. The title lists those that were open."""
    outside, unix, port, victim = Path(path).read_text("utf-8").split("\n")
    arguments = (ctypes.c_char_p * 2)(b"/bin/true", None)
    secret, scratch = os.fsencode(f"{outside}/secret"), os.environ["TMPDIR"]
    link, command = f"{scratch}/link", f"echo x > {outside}/ran; echo x > {scratch}/ran"
    at = struct.pack("=H", socket.AF_UNIX) + os.fsencode(unix) + b"\0"
    tcp = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", int(port), bytes([127, 0, 0, 1]))
    doors = {
        "read a file": lambda: _opened(f"{outside}/secret"),
        "read by a link": lambda: _LIBC.symlink(secret, os.fsencode(link)) == 0 and _opened(link),
        "list a folder": lambda: bool(_LIBC.opendir(os.fsencode(outside))),
        "make a file": lambda: _opened(f"{outside}/new", os.O_WRONLY | os.O_CREAT),
        "change the data": lambda: _opened(path, os.O_WRONLY),
        "cut a file": lambda: _LIBC.truncate(secret, 0) == 0,
        "remove a file": lambda: _LIBC.unlink(secret) == 0,
        "change a mode": lambda: _LIBC.chmod(secret, 0o777) == 0,
        "change a time": lambda: _LIBC.utimensat(_AT_FDCWD, secret, None, 0) == 0,
        "the parent's environment": lambda: _opened(f"/proc/{victim}/environ"),
        "the worker's own parent": lambda: _opened(f"/proc/{os.getppid()}/mem"),
        "fork": _forked,
        "run a program": lambda: _LIBC.system(os.fsencode(command)) == 0,
        "become a program": lambda: _LIBC.execv(b"/bin/true", arguments) == 0,
        "connect by TCP": lambda: _connected(socket.AF_INET, tcp),
        "connect to a socket": lambda: _connected(socket.AF_UNIX, at),
        "send to a socket": lambda: _sent(unix + ".d"),
        "signal the parent": lambda: _LIBC.kill(int(victim), 0) == 0,
        "signal its own parent": lambda: _LIBC.kill(os.getppid(), 0) == 0,
        "signal all": lambda: _LIBC.kill(-1, 0) == 0,
        "trace the parent": lambda: _LIBC.ptrace(16, int(victim), None, None) == 0,
        "new name space": lambda: _LIBC.unshare(0x10000000) == 0,
    }  # fmt: skip
    opened = [name for name, door in doors.items() if door()]
    return [signal("open: " + ", ".join(opened) if opened else "all shut")]


def _forked() -> bool:
    process = _LIBC.fork()
    if process == 0:
        os._exit(0)
    return bool(process > 0)
