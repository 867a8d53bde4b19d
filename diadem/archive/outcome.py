"""What packing did, and the errors of packing in the words of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from diadem.archive.package import Package
from diadem.errors import Interrupted
from diadem.store.stage import Swept
from diadem.store.system import SinkFailed, store_error


@dataclass(frozen=True, slots=True)
class Outcome:
    """What packing did.

    Attributes
    ----------
    package : Package
        The package in the store.
    created : bool
        False where the store held this payload already.
    omissions : sequence of mapping
        What was left out: path, kind, reason.
    issues : mapping of str to int
        Codes of the datasets' issues and how often each came.
    flagged : sequence of (path, code)
        The first datasets with issues: primary file and code.
    swept : sequence of Swept
        Leftovers of dead writers that were removed.
    proof : str
        Why the bytes in the store are known to be right: ``written`` (hashed as they were written), ``server``
        (it checked every part), ``read-back`` (every leaf read), ``earlier`` (there already, sizes and tag files
        checked) or ``none``.
    seconds : float
        Time taken.
    """

    package: Package
    created: bool
    omissions: Sequence[Mapping[str, str]]
    issues: Mapping[str, int] = field(default_factory=dict)
    flagged: Sequence[tuple[str, str]] = ()
    swept: Sequence[Swept] = ()
    proof: str = "written"
    seconds: float = 0.0


@contextmanager
def packing_errors(url: str) -> Iterator[None]:
    """Ctrl-C becomes `Interrupted`, a copy that cannot be written `StoreError`."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            "packing was stopped; nothing half-made is in the store", next="Run the same command again."
        ) from error
    except SinkFailed as error:
        raise store_error(error.cause, url) from error.cause
