"""Large libraries that some readers need: imported when one asks for them, as freely as before the first job.

On its import Dask looks at the processor and at its own settings, which a reader may not. What a library does then is
none of the reader's doing, so the guard is lifted as long as it takes.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from diadem.extract.sandbox import Guard


def spare(guard: Guard, modules: Collection[str]) -> None:
    """Have modules, and the packages that they are in, imported without a guard.

    Parameters
    ----------
    guard : Guard
        What is lifted meanwhile.
    modules : collection of str
        Dotted names.
    """
    parents = {name.rpartition(".")[0] for name in modules} - {""}
    sys.meta_path.insert(0, _Finder(guard, {*modules, *parents}))


class _Finder(MetaPathFinder):
    """Finds a few modules where they always are, and lifts the guard while they run."""

    def __init__(self, guard: Guard, names: Collection[str]) -> None:
        self._guard = guard
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The usual spec, whose loader runs the module without the guard."""
        if fullname not in self._names:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_freely(module: ModuleType) -> None:
            with self._guard.lifted():
                run(module)

        spec.loader.exec_module = run_freely  # type: ignore[method-assign]
        return spec
