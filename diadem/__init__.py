"""DIADEM: verified archive packages with extended metadata for electron microscopy.

>>> import diadem
>>> package = diadem.pack("2026-03-14 ZnO S-12", "archive")  # doctest: +SKIP
>>> diadem.verify(package).raise_for_findings()  # doctest: +SKIP
>>> signal = package.load("scan.dm4")  # doctest: +SKIP

The list of public names is `__init__.pyi`; each is imported when it is first used.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
