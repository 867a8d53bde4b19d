"""Commands that findings and steps name, each written once."""

from __future__ import annotations

from typing import Final

from diadem.policy.case import StoreTally

ARCHIVE: Final = "diadem archive FOLDER"
REPAIR: Final = "diadem repair"
#: The same, and what does not belong into a package is moved out of it.
REPAIR_SET_ASIDE: Final = "diadem repair --set-aside"
RESCAN: Final = "diadem rescan"
REINDEX: Final = "diadem reindex"
LIST_STORES: Final = "diadem store ls"
CONFIRM_RECOVERY: Final = "diadem init --confirm-recovery"
WATCH: Final = "diadem watch"
LIST_WATCHED: Final = "diadem watch ls"
DOCTOR: Final = "diadem doctor"
#: Hex digits of a package id in a command: a unique prefix of 8 or more is accepted.
SHORT_ID: Final = 12


def add_store(kind: str) -> str:
    """Adding a store, of a kind or of any ("")."""
    return f"diadem store add PLACE --kind {kind}" if kind else "diadem store add PLACE"


def move_store(name: str) -> str:
    """Saying where a store is now."""
    return f"diadem store move {name} PATH"


def lose_store(name: str) -> str:
    """Saying that a store is gone for good."""
    return f'diadem store rm {name} --lost --reason "..."'


def scrub(store: StoreTally) -> str:
    """Reading what in a store is due or was never read; adopted folders, in no store, are looked at by `rescan`.

    One that does not answer is to be connected first.
    """
    if not store.known:
        return RESCAN
    return f"diadem scrub {store.state.name} --due" if store.state.reachable else move_store(store.state.name)


def repair(package_id: str) -> str:
    """Making the copies of one package good again."""
    return f"diadem repair {short(package_id)}"


def write_off(package_id: str) -> str:
    """Saying that a package is lost for good."""
    return f'diadem delete {short(package_id)} --lost --reason "..."'


def short(package_id: str) -> str:
    """The id as commands take it: the first `SHORT_ID` hex digits."""
    return package_id.removeprefix("diadem:")[:SHORT_ID]


def amend(package_id: str, key: str) -> str:
    """Saying later what was not said."""
    return f'diadem amend {short(package_id)} --set {key}="..."'
