"""DIADEM: verified archive packages with extended metadata for electron microscopy.

>>> import diadem
>>> package = diadem.pack("2026-03-14 ZnO S-12", "archive")  # doctest: +SKIP
>>> diadem.verify(package).raise_for_findings()  # doctest: +SKIP
>>> signal = package.load("scan.dm4")  # doctest: +SKIP

The list of public names is `__init__.pyi`; each is imported when it is first used.
"""

import sys as _sys
import types as _types
from typing import Any as _Any

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


class _Facade(_types.ModuleType):
    """This module; `diadem.extract` stays the verb although a room has the same name and is imported later."""

    @property
    def extract(self) -> _Any:
        return __getattr__("extract")

    @extract.setter
    def extract(self, module: object) -> None:
        """The import system would put the room here; ``from diadem.extract.… import …`` finds it without."""


_sys.modules[__name__].__class__ = _Facade
