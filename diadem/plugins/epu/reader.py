"""Documents of EPU without their image, and of its sessions: they are known, and hold no signal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: The namespace of the documents, which their root names.
NAMESPACE = b"http://schemas.datacontract.org/2004/07/Fei.SharedObjects"
_ROOT = b"<MicroscopeImage"
SESSION = b"<EpuSessionXml"


def is_epu(path: str) -> bool:
    """EPU's document is a `MicroscopeImage` of FEI's namespace."""
    with Path(path).open("rb") as stream:
        head = stream.read(4096)
    return _ROOT in head and NAMESPACE in head


def is_session(path: str) -> bool:
    """EPU's document of a session is an `EpuSessionXml`."""
    with Path(path).open("rb") as stream:
        return SESSION in stream.read(4096)


def read(path: str, lazy: bool = True) -> list[dict[str, Any]]:  # noqa: ARG001  the signature of all readers
    """No signals: the image is a file of its own."""
    return []
