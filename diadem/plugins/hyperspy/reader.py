"""RosettaSciIO's reader of zspy, which needs a look at the store before. Imported where files are read only."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from diadem.plugins.hyperspy.zarr import Store


def read_zspy(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read a zspy folder or archive without asking for write access, which RosettaSciIO does when lazy.

    Raises
    ------
    ReaderError
        It names code to decode its arrays by that is not known to be harmless.
    """
    with closing(Store(path)) as store:
        store.require_known_codecs()
    from rsciio.zspy import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy, mode="r")
    return signals
