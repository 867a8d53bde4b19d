"""For those who write or use stores: a kit that tries every promise of `Store`, and a store that fails on purpose.

>>> from diadem.testing.stores import check_store
>>> from diadem.store import open_store
>>> check_store(lambda name: open_store(f"memory://{name}")).raise_for_findings()
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from diadem.model.display import Display
from diadem.testing import store_checks, store_package_checks
from diadem.testing.faulty_store import FaultyStore
from diadem.testing.store_checks import Broken, Check, MakeStore, failed
from diadem.testing.store_faults import Fault
from diadem.testing.store_packages import HARD_FILES, SamplePackage, make_package

__all__ = [
    "CHECKS",
    "HARD_FILES",
    "Fault",
    "FaultyStore",
    "MakeStore",
    "SamplePackage",
    "StoreFault",
    "StoreFinding",
    "StoreReport",
    "check_store",
    "make_package",
]

#: Every promise that is tried, by its name.
CHECKS: Mapping[str, Check] = {
    name.removeprefix("check_").replace("_", "-"): check
    for module in (store_checks, store_package_checks)
    for name, check in vars(module).items()
    if name.startswith("check_")
}


@dataclass(frozen=True, slots=True)
class StoreFinding(Display):
    """A promise that a store does not keep.

    Attributes
    ----------
    check : str
        Name of the check.
    promise : str
        What a store promises.
    message : str
        What happened.
    """

    check: str
    promise: str
    message: str

    def __str__(self) -> str:
        """Two lines."""
        return f"{self.check}: {self.message}\n    promised: {self.promise}"

    def to_dict(self) -> dict[str, str]:
        """A JSON object."""
        return {"check": self.check, "promise": self.promise, "message": self.message}


@dataclass(frozen=True, slots=True)
class StoreReport(Display):
    """What the kit found.

    Attributes
    ----------
    url : str
        Address of one of the stores that were tried.
    kept : mapping of str to str
        Name and words of every promise that was kept.
    findings : tuple of StoreFinding
        Those that were not.
    """

    url: str
    kept: Mapping[str, str]
    findings: tuple[StoreFinding, ...]

    @property
    def ok(self) -> bool:
        """True where every promise was kept."""
        return not self.findings

    def raise_for_findings(self) -> None:
        """Raise `StoreFault` where a promise was not kept."""
        if self.findings:
            raise StoreFault(self)

    def __str__(self) -> str:
        """The findings, or one line."""
        head = f"{self.url} keeps {len(self.kept)} of {len(self.kept) + len(self.findings)} promises"
        return "\n".join([head, *map(str, self.findings)])

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        found = [finding.to_dict() for finding in self.findings]
        return {"ok": self.ok, "url": self.url, "kept": dict(self.kept), "findings": found}


class StoreFault(AssertionError):
    """A store that does not keep its promises; `report` says which."""

    def __init__(self, report: StoreReport) -> None:
        super().__init__(str(report))
        self.report = report


def check_store(make_store: MakeStore, *, only: Iterable[str] | None = None) -> StoreReport:
    """Try every promise of `diadem.store.contract.Store`.

    Parameters
    ----------
    make_store : callable
        Opens the store of a name: the same name leads to the same place with a new object, a new name to an empty
        place. About 60 MB are written and removed; anything the checks leave is under the names they chose.
    only : iterable of str, optional
        Names of `CHECKS`; all by default.

    Returns
    -------
    StoreReport
        Which promises were kept; only an interruption is raised.
    """
    kept, findings, url = {}, [], ""
    for name in CHECKS if only is None else only:
        check, place = CHECKS[name], f"kit-{name}-{uuid.uuid4().hex[:8]}"
        promise = " ".join((check.__doc__ or "").split())
        try:
            url = url or make_store(place).url
            check(make_store, place)
        except Broken as error:
            findings.append(StoreFinding(name, promise, str(error)))
        except Exception as error:  # whatever a store raises that it should not
            findings.append(StoreFinding(name, promise, f"it raised {failed(error)}"))
        else:
            kept[name] = promise
    return StoreReport(url, kept, tuple(findings))
