"""Which node this account uses where none is named: the one that it made or recovered last."""

from __future__ import annotations

import contextlib
from pathlib import Path

from diadem.errors import DiademError, NotFound
from diadem.store.system import user_config
from diadem.store.whole import write_whole


def _file() -> Path:
    return user_config("node.txt")


def default_node() -> str:
    """The folder of the node, or ""."""
    try:
        return _file().read_text("utf-8").strip()
    except (OSError, NotFound):
        return ""


def remember_node(folder: Path) -> None:
    """Use this node where none is named. An account without a home simply has none."""
    with contextlib.suppress(OSError, DiademError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_whole(_file(), f"{folder}\n".encode())
