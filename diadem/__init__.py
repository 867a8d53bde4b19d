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


class _Facade(_types.ModuleType):
    """This module; `diadem.extract`, `diadem.pack` and `diadem.scan` stay verbs although rooms have these names."""

    def __setattr__(self, name: str, value: object) -> None:
        """Keep a room away, which the import system would put here; ``from diadem.scan.… import …`` finds it so."""
        if name not in __all__ or not isinstance(value, _types.ModuleType):
            super().__setattr__(name, value)


_sys.modules[__name__].__class__ = _Facade
