"""Commands that findings and steps name, each written once."""

from __future__ import annotations

from typing import Final

from diadem.node.rules.tally import StoreTally

ARCHIVE: Final = "diadem archive FOLDER"
REPAIR: Final = "diadem repair"
RESCAN: Final = "diadem rescan"
REINDEX: Final = "diadem reindex"
LIST_STORES: Final = "diadem store ls"
CONFIRM_RECOVERY: Final = "diadem init --confirm-recovery"
DOCTOR: Final = "diadem doctor"


def add_store(kind: str) -> str:
    """Adding a store, of a kind or of any ("")."""
    return f"diadem store add PLACE --kind {kind}" if kind else "diadem store add PLACE"


def scrub(store: StoreTally) -> str:
    """Reading what in a store is due or was never read; adopted folders, in no store, are looked at by `rescan`."""
    return f"diadem scrub {store.state.name} --due" if store.known else RESCAN


def amend(package_id: str, key: str) -> str:
    """Saying later what was not said."""
    return f'diadem amend {package_id.removeprefix("diadem:")[:12]} --set {key}="..."'
