"""DIADEM: verified archive packages with extended metadata for electron microscopy.

>>> import diadem
>>> package = diadem.pack("2026-03-14 ZnO S-12", "archive")  # doctest: +SKIP
>>> diadem.verify(package).raise_for_findings()  # doctest: +SKIP
>>> signal = package.load("scan.dm4")  # doctest: +SKIP

The list of public names is `__init__.pyi`; each is imported when it is first used.
"""

import sys as _sys
import types as _types

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def _verb(name: str) -> property:
    """The verb; the import system would put the room here, which ``from diadem.pack.… import …`` finds without."""
    return property(lambda _: __getattr__(name), lambda _, room: None)  # noqa: ARG005


class _Facade(_types.ModuleType):
    """This module; these stay verbs although rooms have the same names and are imported later."""

    extract, pack, scan = map(_verb, ("extract", "pack", "scan"))


_sys.modules[__name__].__class__ = _Facade
