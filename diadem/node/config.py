"""`node.toml`: what a node is called, where its stores are and who its users are."""

from __future__ import annotations

import datetime
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diadem.errors import DocumentError, NotFound, Refused, UsageError
from diadem.model.peer_checks import require_url
from diadem.model.times import time_text
from diadem.store.local_errors import store_error
from diadem.store.whole import write_whole

FORMAT = "diadem-node/1"
FILE = "node.toml"
#: Kinds of stores that a policy may ask for.
KINDS = ("disk", "nas", "object", "offsite", "cold")
#: Names of nodes, stores and users: they stand in addresses (``alice@hu-berlin``), statements and commands.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """One store of a node.

    Attributes
    ----------
    name : str
        What people call it: ``main``, ``nas``.
    url : str
        A folder or an address that fsspec understands.
    kind : str
        ``disk``, ``nas``, ``object``, ``offsite`` or ``cold``.
    id : str
        The store's own id, kept in it too: a disk that is mounted elsewhere is recognised by it.
    retired : bool
        Nothing new is written there; it still counts until its packages are dropped.
    place : str
        What disk or share it lies on, as a person says; "" where DIADEM finds that out. Equal places are one copy.
    seen : str
        What disk or share it was found on when it was added or moved: counts while it does not answer.
    """

    name: str
    url: str
    kind: str = "disk"
    id: str = ""
    retired: bool = False
    place: str = ""
    seen: str = ""


@dataclass(frozen=True, slots=True)
class UserSettings:
    """One user of a node.

    Attributes
    ----------
    name : str
        Short name, unique on this node.
    full_name : str
        As a person writes it.
    key : str
        Public key, ``ed25519:<base64>``.
    custody : str
        ``node-held`` where the node keeps the key, ``user-held`` where only the user can open it.
    protection : str
        How the private key on this machine is protected: ``file``, ``passphrase`` or ``keyring``; ``none`` if it is
        not here.
    successor : str
        Who follows a user who retired: ``bob@hu-berlin``; "" for one who is still here.
    guest : bool
        Somebody from outside the group, who was invited as such.
    """

    name: str
    full_name: str = ""
    key: str = ""
    custody: str = "node-held"
    protection: str = "file"
    successor: str = ""
    guest: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """One folder that `diadem watch` looks at: where an instrument writes its sessions.

    Attributes
    ----------
    folder : str
        Absolute path.
    store : str
        Which store is filled first; "" for the first that can take a session.
    set : sequence of str
        What is said of every session: ``sample.name=S-12``.
    new_only : bool
        What lay there before is left until it changes.
    poll : bool
        Look again and again, even where the system tells of changes.
    depth : int
        How many folders down the sessions lie; 1 for those directly in the folder.
    added : str
        UTC.
    """

    folder: str
    store: str = ""
    set: Sequence[str] = ()
    new_only: bool = False
    poll: bool = False
    depth: int = 1
    added: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {name: getattr(self, name) for name in self.__slots__} | {"set": list(self.set)}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the node listens, and where others find it: the table ``[server]``.

    Attributes
    ----------
    listen : str
        Address and port on this machine: ``0.0.0.0:8642``; "" for a node that was never served, ``none`` for one that
        listens nowhere and only calls others.
    urls : sequence of str
        As others reach it: ``https://archive.example.org:8642``. Tickets and the endpoint note name them.
    hub : bool
        Whether it relays what peers seal for each other; of use only with an address in `urls`.
    """

    listen: str = ""
    urls: Sequence[str] = ()
    hub: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {"listen": self.listen, "urls": list(self.urls), "hub": self.hub}


@dataclass(frozen=True, slots=True)
class CarrierSettings:
    """What takes sealed packages to peers and from them: a table ``[[carrier]]``.

    Attributes
    ----------
    name : str
        What both nodes call it: the route is ``via:`` and this name.
    url : str
        Where it is, as the plugin for its scheme understands: ``drop:///mnt/group``.
    peers : sequence of str
        Ids of the nodes with which it is shared; empty for all.
    """

    name: str
    url: str
    peers: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {"name": self.name, "url": self.url, "peers": list(self.peers)}


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Everything in `node.toml`.

    Attributes
    ----------
    name : str
        The node's name for people, the part after @ in an address.
    id : str
        64 hex digits: SHA-256 of the root key.
    machine : str
        Name of the one machine that writes this node.
    created : str
        UTC.
    stores, users : sequence
        In the order in which they were added; the first store is filled first, the first user is the default.
    recovery_file : str
        Where the recovery file was written.
    recovery_recipient : str
        ``age1…``: what is mirrored of the keys is sealed for it.
    recovery_confirmed : str
        When somebody said that it was moved away; "" until then.
    catalogue : str
        Address of the database; "" for `catalogue.sqlite` beside this file.
    watched : sequence of WatchSettings
        The folders that `diadem watch` looks at.
    server : ServerSettings
        Where the node listens, and where others find it.
    carriers : sequence of CarrierSettings
        What takes sealed packages to peers and from them.
    """

    name: str
    id: str
    machine: str
    created: str
    stores: Sequence[StoreSettings] = ()
    users: Sequence[UserSettings] = ()
    recovery_file: str = ""
    recovery_recipient: str = ""
    recovery_confirmed: str = ""
    catalogue: str = ""
    watched: Sequence[WatchSettings] = ()
    server: ServerSettings = ServerSettings()
    carriers: Sequence[CarrierSettings] = ()

    @property
    def short_id(self) -> str:
        """The first 16 hex digits: the folder of this node in the stores."""
        return self.id[:16]

    def store(self, name: str) -> StoreSettings:
        """The settings of a store.

        Raises
        ------
        NotFound
            The node has no store of that name.
        """
        for store in self.stores:
            if store.name == name:
                return store
        known = ", ".join(store.name for store in self.stores) or "none yet"
        raise NotFound(f"the node has no store '{name}'", next=f"Its stores: {known}. See: diadem store ls")

    def user(self, name: str) -> UserSettings:
        """The settings of a user; `name` may be ``alice`` or ``alice@node``.

        Raises
        ------
        NotFound
            The node has no user of that name.
        """
        short, _, node = name.rpartition("@") if "@" in name else (name, "", self.name)
        for user in self.users:
            if user.name == short and node == self.name:
                return user
        known = ", ".join(user.name for user in self.users) or "none"
        raise NotFound(f"the node has no user '{name}'", next=f"Its users: {known}. Add one: diadem user add {short}")

    def with_store(self, store: StoreSettings) -> NodeSettings:
        """The same with one store added, or changed where the name is known."""
        others = [known for known in self.stores if known.name != store.name]
        if len(others) == len(self.stores):
            return replace(self, stores=(*self.stores, store))
        return replace(self, stores=tuple(store if known.name == store.name else known for known in self.stores))

    def without_store(self, name: str) -> NodeSettings:
        """The same without one store."""
        return replace(self, stores=tuple(store for store in self.stores if store.name != name))

    def with_user(self, user: UserSettings) -> NodeSettings:
        """The same with one user added, or changed where the name is known."""
        known = [user if other.name == user.name else other for other in self.users]
        return replace(self, users=tuple(known if user in known else (*known, user)))


def checked_name(name: str, what: str) -> str:
    """A name of a node, store or user, lower-cased.

    Raises
    ------
    UsageError
        It has other characters than letters, digits, dots, hyphens and underscores.
    """
    plain = name.strip().lower()
    if not _NAME.match(plain):
        raise UsageError(
            f"'{name}' cannot be the name of a {what}",
            next="Use letters a-z, digits, dots, hyphens and underscores; it stands in addresses: alice@hu-berlin",
        )
    return plain


def read_settings(folder: Path) -> NodeSettings:
    """Read the settings of the node in a folder.

    Raises
    ------
    NotFound
        There is no node.
    DocumentError
        The file cannot be understood.
    Refused
        A later version of DIADEM wrote it.
    """
    path = folder / FILE
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFound("there is no node here", where=str(folder), next="Make one: diadem init") from error
    except OSError as error:
        raise store_error(error, str(path), "the node's settings cannot be read") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DocumentError(
            f"{FILE} cannot be read: {error}", where=str(path), next="Mend the line it names."
        ) from error
    found = str(document.get("format", ""))
    if found != FORMAT:
        raise Refused(f"{FILE} is of format '{found}', not {FORMAT}", where=str(path), next="Update DIADEM.")
    try:
        return settings_of(document)
    except (KeyError, TypeError, ValueError) as error:
        raise DocumentError(
            f"{FILE} lacks or bends what a node needs: {error}", where=str(path), next="Compare it with docs/node.md."
        ) from error


def settings_of(document: dict[str, Any]) -> NodeSettings:
    """The settings that a parsed `node.toml` holds. Raises `KeyError` or `TypeError` where something is missing."""
    recovery = document.get("recovery", {})
    return NodeSettings(
        name=str(document["name"]),
        id=str(document["id"]),
        machine=str(document["machine"]),
        created=str(document["created"]),
        stores=tuple(StoreSettings(**table) for table in document.get("stores", ())),
        users=tuple(UserSettings(**table) for table in document.get("users", ())),
        recovery_file=str(recovery.get("file", "")),
        recovery_recipient=str(recovery.get("recipient", "")),
        recovery_confirmed=str(recovery.get("confirmed", "")),
        catalogue=str(document.get("catalogue", {}).get("url", "")),
        watched=tuple(
            WatchSettings(**{**table, "set": tuple(table.get("set", ()))}) for table in document.get("watch", ())
        ),
        server=_server_settings(document.get("server", {})),
        carriers=tuple(
            CarrierSettings(**{**table, "peers": tuple(table.get("peers", ()))})
            for table in document.get("carrier", ())
        ),
    )


def _server_settings(table: dict[str, Any]) -> ServerSettings:
    """The table ``[server]``; people write it, so that each address is looked at."""
    urls = table.get("urls", ())
    if not isinstance(urls, list | tuple):
        raise TypeError("server.urls is no list")
    if not isinstance(table.get("hub", False), bool):
        raise TypeError("server.hub is neither true nor false")
    try:
        return ServerSettings(**{**table, "urls": tuple(require_url(url) for url in urls)})
    except UsageError as error:
        raise ValueError(f"server.urls: {error.message}") from None


def settings_text(settings: NodeSettings) -> str:
    """The text of `node.toml`."""
    import tomlkit

    document = tomlkit.document()
    document.add(
        tomlkit.comment(
            "A DIADEM node. Change it with: diadem store, diadem user, diadem watch. The rules are in policy.toml."
        )
    )
    document["format"] = FORMAT
    for key in ("name", "id", "machine", "created"):
        document[key] = getattr(settings, key)
    if settings.catalogue:
        document["catalogue"] = {"url": settings.catalogue}
    document["recovery"] = {
        "file": settings.recovery_file,
        "recipient": settings.recovery_recipient,
        "confirmed": settings.recovery_confirmed,
    }
    if settings.server != ServerSettings():
        document["server"] = settings.server.to_dict()
    for name, rows in (("stores", settings.stores), ("users", settings.users)):
        tables = tomlkit.aot()
        for row in rows:
            tables.append(tomlkit.item({slot: getattr(row, slot) for slot in row.__slots__}))
        if rows:
            document[name] = tables
    if settings.watched:
        folders = tomlkit.aot()
        for folder in settings.watched:
            folders.append(tomlkit.item(folder.to_dict()))
        document["watch"] = folders
    if settings.carriers:
        carriers = tomlkit.aot()
        for carrier in settings.carriers:
            carriers.append(tomlkit.item(carrier.to_dict()))
        document["carrier"] = carriers
    return tomlkit.dumps(document)


def write_settings(folder: Path, settings: NodeSettings) -> None:
    """Write `node.toml`, whole or not at all."""
    write_whole(folder / FILE, settings_text(settings).encode())


def new_settings(*, name: str, id: str, now: datetime.datetime) -> NodeSettings:  # noqa: A002
    """The settings of a node that is being made on this machine."""
    return NodeSettings(checked_name(name, "node"), id, machine_name(), time_text(now))


def machine_name() -> str:
    """What this machine is called; DIADEM_MACHINE where the system's name changes, as in containers."""
    import socket

    return os.environ.get("DIADEM_MACHINE") or socket.gethostname()
