"""How this machine sends: what decides the speed over a long way, and what its administrator can do (Linux)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: Where Linux shows them.
FOLDER: Final = Path("/proc/sys/net/ipv4")
#: Bytes under way at 1 Gbit/s and 100 ms.
_WINDOW: Final = 12_500_000
_BBR: Final = (
    "sudo sysctl -w net.core.default_qdisc=fq net.ipv4.tcp_congestion_control=bbr, and put both into /etc/sysctl.d"
)
_BUFFERS: Final = "sudo sysctl -w net.ipv4.tcp_wmem='4096 65536 33554432' net.ipv4.tcp_rmem='4096 131072 33554432'"


def tcp_settings(folder: Path = FOLDER) -> dict[str, str]:
    """Congestion control and buffers as the system has them; empty where it does not say."""
    names = ("tcp_congestion_control", "tcp_available_congestion_control", "tcp_wmem", "tcp_rmem")
    found = {}
    for name in names:
        try:
            found[name] = (folder / name).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
    return found


def advice_on(settings: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Verdict, what was found, and what to do, for `diadem doctor`.

    Parameters
    ----------
    settings : mapping
        What `tcp_settings` found.
    """
    control = settings.get("tcp_congestion_control")
    if control is None:
        return []
    rows = []
    if control == "bbr":
        rows.append(("ok", "sends with BBR, which lost packets do not slow down", ""))
    else:
        message = f"sends with {control}: over a long line that loses packets, BBR is 18 to 60 times as fast"
        rows.append(("note", message, _BBR))
    small = [name for name in ("tcp_wmem", "tcp_rmem") if _most(settings.get(name, "")) < _WINDOW]
    sizes = ", ".join(f"{name} {_most(settings.get(name, '')):,} bytes" for name in ("tcp_wmem", "tcp_rmem"))
    if small:
        message = f"one connection has at most {sizes} under way; 1 Gbit/s over 100 ms needs {_WINDOW:,}"
        rows.append(("note", message, _BUFFERS))
    else:
        rows.append(("ok", f"one connection may have {sizes} under way", ""))
    return rows


def _most(text: str) -> int:
    words = text.split()
    return int(words[-1]) if words and words[-1].isdecimal() else 0
