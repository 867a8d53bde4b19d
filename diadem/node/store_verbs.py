"""Adding, moving, retiring and listing the stores of a node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.errors import Refused, UsageError
from diadem.model.display import DisplayList, Rows
from diadem.model.plain_text import count_text, quoted
from diadem.model.replicas import StoreState
from diadem.node.config import KINDS, StoreSettings, checked_name
from diadem.node.context import Context
from diadem.node.mirroring import mirror_catalogue, mirror_settings
from diadem.node.store_place import make_folder
from diadem.node.stores import claim, read_store_file, reclaim
from diadem.store.addresses import local_path, parse, refuse_copy_address

if TYPE_CHECKING:
    from diadem.node.losing import LostStore


@dataclass(frozen=True, slots=True)
class StoreVerbs(DisplayList):
    """The stores of a node: `node.stores`.

    Parameters
    ----------
    context : Context
        The node.
    """

    _display_name = "stores"

    context: Context

    def __iter__(self) -> Iterator[StoreState]:
        """Each store as it is just now."""
        return iter(self.ls())

    def ls(self) -> Sequence[StoreState]:
        """Each store as it is just now: kind, place, whether it answers, free space."""
        return Rows(self.context.stores.states())

    def add(
        self,
        url: str,
        *,
        name: str | None = None,
        kind: str | None = None,
        place: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> StoreState:
        """Add a store; nothing is copied yet.

        Parameters
        ----------
        url : str
            A folder (made if it is not there) or an address such as ``s3://bucket/prefix`` or ``sftp://host/path``.
        name : str, optional
            Its name; default from the address.
        kind : {"disk", "nas", "object", "offsite", "cold"}, optional
            Default: what the place looks like.
        place : str
            What disk or share it is on, where DIADEM cannot see that or sees it wrongly: two stores of one place are
            one copy.
        options : mapping, optional
            For fsspec, in this process only: they may hold secrets and are not kept.

        Returns
        -------
        StoreState
            The new store.

        Raises
        ------
        UsageError
            The name is taken, the kind is none, or the place is not a folder.
        Refused
            It is the store of another node.
        Unreachable
            It does not answer.
        """
        with self.context.locked("stores"):  # two that add the same one at once
            self.context.reread_settings()
            return self._added(url, name, kind, place, options)

    def _added(
        self, url: str, name: str | None, kind: str | None, place: str, options: Mapping[str, Any] | None
    ) -> StoreState:
        from diadem.store import open_store

        context = self.context
        refuse_copy_address(url)
        folder = local_path(url)
        if kind is not None and kind not in KINDS:
            raise UsageError(f"'{kind}' is not a kind of store", next=f"Use {', '.join(KINDS)}.")
        here = str(folder.absolute()) if folder is not None else url
        if (known := next((one for one in context.settings.stores if one.url == here), None)) is not None:
            return self._known(known, name, kind, place)
        chosen = checked_name(name or self._name_for(url), "store")
        if chosen in context.stores.names:
            raise UsageError(
                f"there is a store '{chosen}' already, at another place",
                where=context.settings.store(chosen).url,
                next="Choose another name: --name",
            )
        if folder is not None:
            _require_apart(context, folder)
            make_folder(folder)
            url = here
        store = open_store(url, options)
        store.check()
        found = store.place() or ""
        settings = StoreSettings(chosen, url, kind or _kind(url, found), place=place, seen=found)
        about = read_store_file(store)
        for known in context.settings.stores:
            if about is not None and known.id == about["store"]:
                raise UsageError(
                    f"this is the store '{known.name}', which was at {known.url}",
                    where=url,
                    next=f"If it has moved: diadem store move {known.name} {quoted(url)}",
                )
        settings = replace(settings, id=claim(store, settings, context.settings))
        context.change_settings(lambda current: current.with_store(settings))
        context.stores.put(chosen, store)
        context.stores.keep_options(chosen, options)
        return self._filled(chosen)

    def _filled(self, name: str) -> StoreState:
        """The store, with what every store has of the node."""
        mirror_settings(self.context)
        self.context.ledger.push()
        mirror_catalogue(self.context)
        return next(state for state in self.context.stores.states() if state.name == name)

    def _known(self, known: StoreSettings, name: str | None, kind: str | None, place: str) -> StoreState:
        """A store that is there already: a run that was killed is gone on with, unless it is said otherwise now."""
        if name not in (None, known.name) or kind not in (None, known.kind):
            raise UsageError(
                f"this is the store '{known.name}', of kind {known.kind}", where=known.url, next="See: diadem store ls"
            )
        if place not in ("", known.place):
            raise UsageError(
                f"this is the store '{known.name}', and it is there already",
                where=known.url,
                next="To say on which disk it is: "
                f"diadem store move {known.name} {quoted(known.url)} --place {quoted(place)}",
            )
        return self._filled(known.name)

    def move(self, name: str, url: str, *, place: str | None = None) -> StoreState:
        """Say where a store is now: a disk that is mounted elsewhere, a share that was renamed. Nothing is copied.

        Copies that are not there are missing from now on. Where the store was copied to another disk or share, its
        copies count again once they were read there: scrub it. The same holds for a store whose own file,
        ``.diadem/store.json``, was lost or damaged; it is written again.

        Parameters
        ----------
        name : str
            Its name.
        url : str
            Where it is now; or where it was, to say on which disk that is.
        place : str, optional
            As for `add`; "" to go by what is found out.

        Raises
        ------
        Refused
            What is there is not this store.
        """
        from diadem.node.moving import note_move
        from diadem.store import open_store

        context = self.context
        context.require_writable()
        known = context.settings.store(name)
        refuse_copy_address(url)
        folder = local_path(url)
        where = str(folder.absolute()) if folder is not None else url
        store = open_store(where, context.stores.options(name))
        store.check()
        again = reclaim(store, known, context.settings)
        found = read_store_file(store)
        if found is None or found["store"] != known.id:
            raise Refused(
                f"what is there is not the store '{name}'",
                where=where,
                next=f"Copy the whole folder {known.url} there first, with its .diadem folder.",
            )
        context.change_settings(
            lambda current: current.with_store(
                replace(
                    current.store(name),
                    url=where,
                    seen=store.place() or "",
                    place=current.store(name).place if place is None else place,
                )
            )
        )
        context.stores.put(name, store)
        here = context.settings.store(name)
        if here.url != known.url or again:
            note_move(context, name, known.url, copied=again or not here.seen or here.seen != known.seen)
        mirror_settings(context)
        return next(state for state in context.stores.states() if state.name == name)

    def rm(self, name: str) -> None:
        """Remove a store that holds no copy any more.

        Raises
        ------
        Refused
            It still holds copies: drop them first, each with its proof. Or the policy names it.
        """
        context = self.context
        context.require_writable()
        from diadem.node.losing import require_unnamed

        known = context.settings.store(name)
        require_unnamed(context, name)
        held = context.catalogue.count_replicas(name)
        if held:
            raise Refused(
                f"the store '{name}' holds {count_text(held, 'copy', 'copies')}",
                where=known.url,
                next=self._instead(name),
            )
        context.change_settings(lambda current: current.without_store(name))
        mirror_settings(context)

    def _instead(self, name: str) -> str:
        """What to do with a store that holds copies, rather than forget it."""
        from diadem.policy.commands import lose_store, move_store

        if not self.context.stores.reachable(name):
            gone = f"If it is gone for good: {lose_store(name)}"
            return f"Reconnect it. If it has moved: {move_store(name)}. {gone}"
        return (
            f"To a new disk: copy the whole folder there, then {move_store(name)}. "
            f'To drop one copy: diadem drop ID --store {name} --reason "..."'
        )

    def lose(self, name: str, *, reason: str) -> LostStore:
        """Remove a store that is gone for good; its copies are recorded as missing.

        Raises
        ------
        Refused
            It answers: nothing is lost.
        """
        from diadem.node.losing import lose

        return lose(self.context, name, reason=reason)

    def _name_for(self, url: str) -> str:
        taken = set(self.context.stores.names)
        if "main" not in taken:
            return "main"
        last = parse(url).path.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
        plain = "".join(letter if letter.isalnum() else "-" for letter in last.lower()).strip("-") or "store"
        numbered = [plain, *(f"{plain}-{number}" for number in range(2, 100))]
        return next(name for name in numbered if name not in taken)


def _kind(url: str, place: str | None) -> str:
    """What a place looks like: a share is a NAS, a server elsewhere is another site."""
    if local_path(url) is None:
        return "offsite" if parse(url).scheme in ("sftp", "ssh") else "object"
    return "nas" if place and place.startswith("share:") else "disk"


def _require_apart(context: Context, folder: Path) -> None:
    """Refuse a folder that lies in the node or in a store, or that holds one: each would archive or lose the other.

    Raises
    ------
    Refused
        Naming what it lies in or holds.
    """
    from diadem.node.apart import HOLDS, IS, LIES_IN, lie, stores_of

    for name, place in (("the node", context.folder), *stores_of(context)):
        how = lie(folder, place)
        if how in (HOLDS, LIES_IN):
            raise Refused(f"the folder {how} {name}", where=str(folder), next="Name a folder beside it.")
        if how == IS and name == "the node":
            raise Refused("this is the node's own folder", where=str(folder), next="Name a folder beside it.")
