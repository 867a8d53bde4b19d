"""`scan` and `read_plan`: what lies in existing folders, and what of it becomes packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diadem.api.places import StrPath
from diadem.api.tools import SOFTWARE, tools
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar

if TYPE_CHECKING:
    from diadem.hooks.manager import Offers
    from diadem.model.scan import PlannedSession
    from diadem.scan.scan import Scan

#: Seconds that one dataset may take in a scan: thousands are waiting behind it.
SCAN_SECONDS = 20.0


def scan(*folders: StrPath, cache: bool = True, listener: Listener = progress_bar) -> Scan:
    """Look at existing folders: what is there, what deserves attention, which sessions could be archived.

    Nothing is written in the folders. Metadata are read, no pixels; packages and stores that lie inside are counted
    and left alone.

    Parameters
    ----------
    *folders : path
        One or several. With several, `Scan.single_copies` tells what lies in one of them only.
    cache : bool
        Whether to use, and keep, what was read in the user's cache folder; a second scan then takes seconds.
    listener : Listener
        Told of progress.

    Returns
    -------
    Scan
        Tables of datasets, sessions, duplicates and issues. Damage is an issue, not an exception.

    Raises
    ------
    UsageError
        No folder is given, or a file.
    NotFound
        A folder does not exist.
    Interrupted
        On Ctrl-C; with the cache, the next scan goes on from there.
    """
    from functools import partial

    from diadem.scan.cache import cache_folder
    from diadem.scan.scan import scan_folders

    at_hand = tools()
    return scan_folders(
        folders,
        readers=at_hand.readers,
        extractor=partial(at_hand.extractor, timeout=SCAN_SECONDS, previews=False, vendor=False),
        software=all_that_reads(at_hand.offers),
        cache=cache_folder() if cache else None,
        listener=listener,
    )


def all_that_reads(offers: Offers) -> str:
    """Names and versions of all that reads a file: what a scan keeps holds for these only."""
    from importlib.metadata import version

    plugins = sorted({f"{plugin.name} {plugin.version}" for plugin in offers.plugins})
    readers = sorted({f"{offer.name} {offer.open or offer.load}" for offer in offers.readers})
    return "\n".join([SOFTWARE, f"rosettasciio {version('rosettasciio')}", f"{SCAN_SECONDS}", *plugins, *readers])


def read_plan(path: StrPath) -> list[PlannedSession]:
    """Read a plan of sessions that `Scan.save_plan` or `diadem scan --plan` has written and a person has edited.

    Parameters
    ----------
    path : path
        ``.csv`` or ``.xlsx``.

    Raises
    ------
    NotFound
        There is no such file.
    DocumentError
        A cell cannot be understood; names row and column.
    """
    from diadem.scan.plan import read_plan as read

    return read(path)
