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

from diadem.errors import DiademError
from diadem.model.display import Display
from diadem.store.contract import Store
from diadem.testing import store_checks
from diadem.testing.faulty_store import Fault, FaultyStore
from diadem.testing.samples import HARD_FILES, SamplePackage, make_package
from diadem.testing.store_checks import Broken, Check, MakeStore

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
    for name, check in vars(store_checks).items()
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
    urls: list[str] = []

    def opened(name: str) -> Store:
        store = make_store(name)
        urls.append(store.url)
        return store

    names = CHECKS if only is None else only
    tries = {name: (CHECKS[name], opened, f"kit-{name}-{uuid.uuid4().hex[:8]}") for name in names}
    kept, findings = try_each(tries)
    return StoreReport(next(iter(urls), ""), kept, findings)


def try_each(tries: Mapping[str, tuple[Any, ...]]) -> tuple[dict[str, str], tuple[StoreFinding, ...]]:
    """Call checks, each with what follows it, by name: the promises that are kept, and what was found of the others.

    Only an interruption is raised.
    """
    kept, findings = {}, []
    for name, (check, *given) in tries.items():
        promise, message = " ".join((check.__doc__ or "").split()), None
        try:
            check(*given)
        except Broken as error:
            message = str(error)
        except Exception as error:  # whatever a store or a carrier raises that it should not
            message = f"it raised {type(error).__name__}: {error.message if isinstance(error, DiademError) else error}"
        if message is not None:
            findings.append(StoreFinding(name, promise, message))
        else:
            kept[name] = promise
    return kept, tuple(findings)
