"""The stores of a node, as a person handles them: `node.stores` adds, moves, retires, loses and lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from diadem.catalogue.database import chunks
from diadem.custody import statements
from diadem.errors import Refused, UsageError
from diadem.model.display import Display, DisplayList, Rows
from diadem.model.plain_text import count_text, quoted
from diadem.model.replicas import DROPPED, IN_PLACE, MISSING, STORE_KINDS, PackageState, StoreState
from diadem.node.config import StoreSettings, checked_name
from diadem.node.context import POLICY_FILE, Context
from diadem.node.mirrors import forget_mirror, mirror_everything, mirror_settings
from diadem.node.separation import HOLDS, IS, LIES_IN, relation_of, stores_of
from diadem.node.stores import claim, make_folder, read_store_file, reclaim
from diadem.store.addresses import local_path, parse, refuse_copy_address

#: Packages that one statement names, or statements in one batch.
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class LostStore(Display):
    """What went with a store.

    Attributes
    ----------
    store : str
        Its name.
    copies : int
        Copies that it held.
    last : tuple of (id, title)
        Packages of which no other copy is known.
    """

    store: str
    copies: int
    last: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        last = [{"package": package, "title": title} for package, title in self.last]
        return {"store": self.store, "copies": self.copies, "last": last}


@dataclass(frozen=True, slots=True)
class StoreVerbs(DisplayList):
    """The stores of a node: `node.stores`."""

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
            added = self._added(url, name, kind, place, options)
            mirror_everything(self.context)
            return self.context.stores.state(added)

    def _added(
        self, url: str, name: str | None, kind: str | None, place: str, options: Mapping[str, Any] | None
    ) -> str:
        """Make a place a store of the node; its name. One that is there already is gone on with."""
        from diadem.store import open_store

        context = self.context
        refuse_copy_address(url)
        folder = local_path(url)
        if kind is not None and kind not in STORE_KINDS:
            raise UsageError(f"'{kind}' is not a kind of store", next=f"Use {', '.join(STORE_KINDS)}.")
        here = str(folder.absolute()) if folder is not None else url
        if (known := next((one for one in context.settings.stores if one.url == here), None)) is not None:
            self._require_same(known, name, kind, place)
            return known.name
        chosen = checked_name(name or self._name_for(url), "store")
        if chosen in context.stores.names:
            raise UsageError(
                f"there is a store '{chosen}' already, at another place",
                where=context.settings.store(chosen).url,
                next="Choose another name: --name",
            )
        if folder is not None:
            self._require_apart(folder)
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
        return chosen

    def _require_same(self, known: StoreSettings, name: str | None, kind: str | None, place: str) -> None:
        """A run that was killed is gone on with, unless it is said otherwise now."""
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

    def _require_apart(self, folder: Path) -> None:
        """Refuse a folder that lies in the node or in a store, or holds one: each would archive or lose the other."""
        for name, place in (("the node", self.context.folder), *stores_of(self.context)):
            how = relation_of(folder, place)
            if how in (HOLDS, LIES_IN):
                raise Refused(f"the folder {how} {name}", where=str(folder), next="Name a folder beside it.")
            if how == IS and name == "the node":
                raise Refused("this is the node's own folder", where=str(folder), next="Name a folder beside it.")

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
            _say_moved(context, name, known.url, copied=again or not here.seen or here.seen != known.seen)
            forget_mirror(context, known)
            mirror_everything(context)
        else:
            mirror_settings(context)
        return context.stores.state(name)

    def rm(self, name: str) -> None:
        """Remove a store that holds no copy any more.

        Raises
        ------
        Refused
            It still holds copies: drop them first, each with its proof. Or the policy names it.
        """
        context = self.context
        context.require_writable()

        known = context.settings.store(name)
        _require_unnamed(context, name)
        held = context.catalogue.count_replicas(name)
        if held:
            from diadem.policy.commands import lose_store, move_store

            if context.stores.reachable(name):
                instead = f"To a new disk: copy the whole folder there, then {move_store(name)}. "
                instead += f'To drop one copy: diadem drop ID --store {name} --reason "..."'
            else:
                instead = f"Reconnect it. If it has moved: {move_store(name)}. "
                instead += f"If it is gone for good: {lose_store(name)}"
            raise Refused(
                f"the store '{name}' holds {count_text(held, 'copy', 'copies')}", where=known.url, next=instead
            )
        _take_out(context, known)

    def lose(self, name: str, *, reason: str) -> LostStore:
        """Remove a store that is gone for good; its copies are recorded as missing.

        Raises
        ------
        UsageError
            No reason is given, or it is the node's only store.
        Refused
            It answers: nothing is lost; or the policy names it.
        """
        context = self.context
        context.require_writable()
        known = context.settings.store(name)
        if not reason.strip():
            raise UsageError("a reason is needed: it is kept in the log", next="--reason 'the disk died'")
        _require_unnamed(context, name)
        if len(context.stores.names) == 1:
            raise UsageError("it is the node's only store", next="Add another one first: diadem store add PLACE")
        if context.stores.reachable(name):
            raise Refused(
                f"the store '{name}' answers: it is not lost",
                where=known.url,
                next=f"What is damaged or missing in it: diadem scrub {name}, then diadem repair",
            )
        held = [
            package
            for package in context.catalogue.package_states()
            if any(copy.store == name and not copy.adopted and copy.state != DROPPED for copy in package.replicas)
        ]
        _say_missing(context, name, held, f"the store is lost: {reason.strip()}")
        _take_out(context, known)
        last = (
            (package.id, package.title)
            for package in held
            if not any(copy.store != name and copy.state not in (DROPPED, MISSING) for copy in package.replicas)
        )
        return LostStore(name, len(held), tuple(last))

    def _name_for(self, url: str) -> str:
        taken = {IN_PLACE, *self.context.stores.names}
        if "main" not in taken:
            return "main"
        last = parse(url).path.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
        plain = re.sub("[^a-z0-9]", "-", last.lower())[:60].strip("-") or "store"
        numbered = [plain, *(f"{plain}-{number}" for number in range(2, 100))]
        return next(name for name in numbered if name not in taken)


def _kind(url: str, place: str | None) -> str:
    """What a place looks like: a share is a NAS, a server elsewhere is another site."""
    if local_path(url) is None:
        return "offsite" if parse(url).scheme in ("sftp", "ssh") else "object"
    return "nas" if place and place.startswith("share:") else "disk"


def _require_unnamed(context: Context, name: str) -> None:
    """Raise `Refused` where the policy names a store that is to be taken out: it could not be read afterwards."""
    if name in context.policy.parity.stores:
        raise Refused(
            f"the policy wants parity on '{name}'",
            where=str(context.folder / POLICY_FILE),
            next=f"Remove '{name}' from stores in [parity] there, then try again.",
        )


def _say_moved(context: Context, name: str, came_from: str, *, copied: bool) -> None:
    """State what is known of the copies in a store that is elsewhere now: those that are not there are missing.

    With `copied` it lies on another disk or share: somebody copied it, and no byte of it was read there yet.
    """
    there = {(stored.id, stored.path) for stored in context.stores.open(name).packages()}
    held = [
        (package, replica)
        for package in context.catalogue.package_states()
        for replica in package.replicas
        if replica.store == name and not replica.adopted and replica.state not in (DROPPED, MISSING)
    ]
    gone = [package for package, replica in held if (package.id, replica.path) not in there]
    _say_missing(context, name, gone, "it is not at the place where the store is now")
    unread = [one for one in held if copied and (one[0].id, one[1].path) in there and one[1].proven]
    for first in range(0, len(unread), _BATCH):
        said = [
            statements.replicate(
                package.id,
                payload_id=package.payload_id,
                source=came_from,
                store=context.settings.stated_store(name),
                path=replica.path,
                proof="none",
                by=context.address,
            )
            for package, replica in unread[first : first + _BATCH]
        ]
        context.say(said)


def _take_out(context: Context, known: StoreSettings) -> None:
    """Let a store be the node's no longer."""
    forget_mirror(context, known)
    context.change_settings(lambda current: current.without_store(known.name))
    mirror_settings(context)


def _say_missing(context: Context, name: str, packages: Sequence[PackageState], why: str) -> None:
    """State that the copies of packages are not in a store."""
    from diadem.node.follow.package_log import COPY_MISSING

    store = context.settings.stated_store(name)
    faults = [statements.copy_fault(package.id, COPY_MISSING, why) for package in packages]
    for several in chunks(faults, _BATCH):
        drafts = [
            statements.fixity([one["package"] for one in some], store=store, level="quick", findings=some)
            for some in chunks(several, statements.CHECKED_TOGETHER)
        ]
        context.say(drafts)
