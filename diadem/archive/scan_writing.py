"""Outputs of a scan: never in a folder that was scanned, and whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from diadem.archive.scan_facts import without_surrogates
from diadem.errors import Refused
from diadem.store.system import move


def keep_out(path: Path, roots: Sequence[str]) -> None:
    """Refuse an output in a scanned folder.

    Raises
    ------
    Refused
        It lies in one of the folders.
    """
    folder = Path(os.path.realpath(path)).parent
    for root in roots:
        if folder.is_relative_to(os.path.realpath(root)):
            raise Refused(
                "this output would be in a scanned folder, and a scan writes nothing there",
                where=without_surrogates(str(path)),
                next="Name a file in another folder.",
            )


def written(path: Path, roots: Sequence[str], write: Callable[[Path], object]) -> Path:
    """Have a file written beside its place and moved there when it is whole.

    Raises
    ------
    Refused
        It lies in a scanned folder, or cannot be written.
    """
    keep_out(path, roots)
    draft = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}{path.suffix}")
    try:
        write(draft)
        move(draft, path)
    except OSError as error:
        raise Refused(
            f"it cannot be written: {error.strerror or error}",
            where=without_surrogates(str(path)),
            next="Close it in other programs, or choose another place.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    return path
