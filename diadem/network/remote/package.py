"""A package that is read from its node over the network, every byte proven here."""

from __future__ import annotations

from diadem.archive.package import Package
from diadem.errors import UsageError
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar
from diadem.model.report import Level, Report
from diadem.node.take.package_chain import ArchivedPackage


class RemotePackage(Package):
    """A package on another node; see `diadem.Package`."""

    def verify(
        self, *, level: Level | str | None = None, workers: int | None = None, listener: Listener = progress_bar
    ) -> Report:
        """Read and prove all of it; see `diadem.verify`. No quick level: sizes are only the node's claim."""
        if level is not None and Level(level) is Level.QUICK:
            raise UsageError("a package on another node is proven by its bytes", next="Use leaves or full.")
        return super().verify(level=level, workers=workers, listener=listener)

    def archived(self) -> ArchivedPackage:
        """The package as a chain needs it."""
        return ArchivedPackage.of(self._opened)
