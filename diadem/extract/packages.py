"""Where the code of foreign plugins lies, so that a worker finds what its parent has found by whatever means.

An editable installation may be known only to an import hook of the parent, or lie in the current folder, which a worker
does not search. The parent tells the worker the top-level packages by name and place; nothing else is added.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final

#: Packages that a worker finds as it finds itself.
_OURS: Final = frozenset({"diadem", "rsciio"})


def locate(targets: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Where the top-level packages of dotted targets are.

    Parameters
    ----------
    targets : iterable of str
        ``module:name`` each.

    Returns
    -------
    dict
        By package: ``origin``, the file that is run, or ""; ``places``, folders of a package, or none for a module.
        What does not lie in plain files is left to the search path.
    """
    names = {target.partition(":")[0].partition(".")[0] for target in targets} - _OURS - {""}
    found = {name: _place(name) for name in sorted(names)}
    return {name: place for name, place in found.items() if place}


def _place(name: str) -> dict[str, Any]:
    try:
        spec = importlib.util.find_spec(name)
    except Exception:  # a module without a spec, or a finder of somebody's that fails
        return {}
    if spec is None:
        return {}
    origin = spec.origin if spec.has_location and spec.origin and Path(spec.origin).is_file() else ""
    places = [str(place) for place in spec.submodule_search_locations or () if Path(place).is_dir()]
    return {"origin": origin, "places": places} if origin or places else {}


def allowed(packages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Files and folders that must be readable for the packages to be imported."""
    return [place for about in packages.values() for place in (*about["places"], about["origin"]) if place]


def install(packages: Mapping[str, Mapping[str, Any]]) -> None:
    """Have this process find the packages where its parent has found them."""
    if packages:
        sys.meta_path.insert(0, _Finder(packages))


class _Finder(MetaPathFinder):
    """Finds a few top-level packages by name."""

    def __init__(self, packages: Mapping[str, Mapping[str, Any]]) -> None:
        self._packages = packages

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of one of the packages; submodules are found in its places by the usual way."""
        about = self._packages.get(fullname)
        if about is None:
            return None
        if about["origin"]:
            places = about["places"] or None
            return importlib.util.spec_from_file_location(fullname, about["origin"], submodule_search_locations=places)
        return PathFinder.find_spec(fullname, [str(Path(place).parent) for place in about["places"]])
