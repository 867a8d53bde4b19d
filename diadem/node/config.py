"""`node.toml`: what a node is called, where its stores are and who its users are."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path, PureWindowsPath
from typing import Any, Final, TypeVar

from diadem.custody.remedies import copy_back
from diadem.custody.statements import StatedStore
from diadem.errors import DocumentError, NotFound, Refused, UsageError
from diadem.model.display import Display
from diadem.model.peer_checks import NAME, is_url
from diadem.model.replicas import IN_PLACE, STORE_KINDS
from diadem.serialization.toml_text import edit_toml, is_blank, line_of, person_text
from diadem.store.addresses import local_path
from diadem.store.system import store_error
from diadem.store.whole import write_whole

FORMAT = "diadem-node/1"
FILE = "node.toml"


class _Row(Display):
    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return _values(self)


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """One store of a node."""

    #: What people call it: ``main``, ``nas``.
    name: str
    #: A folder or an address that fsspec understands.
    url: str
    #: One of `STORE_KINDS`.
    kind: str = "disk"
    #: The store's own id, kept in it too: a disk that is mounted elsewhere is recognised by it.
    id: str = ""
    #: Nothing new is written there; it still counts until its packages are dropped.
    retired: bool = False
    #: What disk or share it lies on, as a person says; "" where DIADEM finds that out. Equal places are one copy.
    place: str = ""
    #: What disk or share it was found on when it was added or moved: counts while it does not answer.
    seen: str = ""


@dataclass(frozen=True, slots=True)
class UserSettings(_Row):
    """One user of a node.

    Attributes
    ----------
    name : str
        Short name, unique on this node.
    full_name : str
        The full name.
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


@dataclass(frozen=True, slots=True)
class WatchSettings(_Row):
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
        Look at intervals, even where the system reports changes.
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


@dataclass(frozen=True, slots=True)
class ServerSettings(_Row):
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


@dataclass(frozen=True, slots=True)
class CarrierSettings(_Row):
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

    def is_shared_with(self, peer: str) -> bool:
        """Whether it is shared with the node that has this id."""
        return not self.peers or peer in self.peers


@dataclass(frozen=True, slots=True)
class TellSettings(_Row):
    """Who is told what changes: a table ``[[tell]]``. Passwords are never in it, for every store has a copy of it.

    Attributes
    ----------
    name : str
        What it is called here.
    url : str
        A mail server, ``smtp://mail.example.org:587`` (STARTTLS) or ``smtps://…`` (TLS from the beginning); a web
        address that takes JSON, ``https://…``; or a file for Prometheus, ``/var/lib/node_exporter/diadem.prom``.
    to : sequence of str
        Addresses of a mail.
    sender : str
        From whom a mail is; "" for `login` where that is an address, else for the first of `to`.
    login : str
        Who logs in at the mail server; "" for nobody.
    signed : bool
        Whether what is sent to a web address is signed with a secret that both know.
    plain : bool
        Without TLS: a mail server on this machine, or in a net that is trusted.
    about : sequence of str
        Of `TOPICS`; empty for all.
    """

    name: str
    url: str
    to: Sequence[str] = ()
    sender: str = ""
    login: str = ""
    signed: bool = False
    plain: bool = False
    about: Sequence[str] = ()

    @property
    def kind(self) -> str:
        """What is done: ``mail``, ``webhook`` or ``file``."""
        scheme = self.url.partition("://")[0].lower() if "://" in self.url else ""
        return {"smtp": "mail", "smtps": "mail", "http": "webhook", "https": "webhook"}.get(scheme, "file")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Everything in `node.toml`."""

    #: The node's name for people, the part after @ in an address.
    name: str
    #: 64 hex digits: SHA-256 of the root key.
    id: str
    #: Name of the one machine that writes this node.
    machine: str
    #: UTC.
    created: str
    #: In the order in which they were added; the first store is filled first, the first user is the default.
    stores: Sequence[StoreSettings] = ()
    users: Sequence[UserSettings] = ()
    #: Where the recovery file was written.
    recovery_file: str = ""
    #: ``age1…``: what is mirrored of the keys is sealed for it.
    recovery_recipient: str = ""
    #: When somebody said that it was moved away; "" until then.
    recovery_confirmed: str = ""
    #: Address of the database; "" for `catalogue.sqlite` beside this file.
    catalogue: str = ""
    watched: Sequence[WatchSettings] = ()
    server: ServerSettings = ServerSettings()
    carriers: Sequence[CarrierSettings] = ()
    tell: Sequence[TellSettings] = ()
    #: What is wrong with other tables ``[[tell]]``: it stops nothing but telling, and they are left as they stand.
    tell_faults: Sequence[DocumentError] = ()

    @property
    def short_id(self) -> str:
        """The first 16 hex digits: the folder of this node in the stores."""
        return self.id[:16]

    @property
    def recovery_in_place(self) -> str:
        """Where the recovery file still lies as `init` wrote it; "" where it was moved away."""
        return self.recovery_file if self.recovery_file and os.path.exists(self.recovery_file) else ""  # noqa: PTH110

    def store(self, name: str) -> StoreSettings:
        """The settings of a store; raises `NotFound`."""
        for store in self.stores:
            if store.name == name:
                return store
        known = ", ".join(store.name for store in self.stores) or "none yet"
        raise NotFound(f"the node has no store '{name}'", next=f"Its stores: {known}. See: diadem store ls")

    def stated_store(self, name: str) -> StatedStore:
        """A store, or the place of adopted folders, as statements name it; raises as `store` does."""
        adopted = name == IN_PLACE and all(one.name != name for one in self.stores)  # a node of before may have one
        return StatedStore(name, "" if adopted else self.store(name).id)

    def user(self, name: str) -> UserSettings:
        """The settings of a user; `name` may be ``alice`` or ``alice@node``; raises `NotFound`."""
        short, _, node = name.rpartition("@") if "@" in name else (name, "", self.name)
        for user in self.users:
            if user.name == short and node == self.name:
                return user
        known = ", ".join(user.name for user in self.users) or "none"
        raise NotFound(f"the node has no user '{name}'", next=f"Its users: {known}. Add one: diadem user add {short}")

    def with_store(self, store: StoreSettings) -> NodeSettings:
        """The same with one store added, or changed where the name is known."""
        known = [store if other.name == store.name else other for other in self.stores]
        return replace(self, stores=tuple(known if store in known else (*known, store)))

    def without_store(self, name: str) -> NodeSettings:
        """The same without one store."""
        return replace(self, stores=tuple(store for store in self.stores if store.name != name))

    def with_user(self, user: UserSettings) -> NodeSettings:
        """The same with one user added, or changed where the name is known."""
        known = [user if other.name == user.name else other for other in self.users]
        return replace(self, users=tuple(known if user in known else (*known, user)))


def checked_name(name: str, what: str) -> str:
    """A name of a node, store or user, lower-cased; raises `UsageError` for what is none."""
    plain = name.strip().lower()
    if not NAME.fullmatch(plain):
        raise UsageError(
            f"'{name}' cannot be the name of a {what}",
            next="Use letters a-z, digits, dots, hyphens and underscores; it is part of addresses: alice@hu-berlin",
        )
    if what == "store" and plain == IN_PLACE:
        raise UsageError(f"'{plain}' is the name of adopted folders among the stores", next="Choose another: --name")
    return plain


def holds_node(folder: Path) -> bool:
    """Whether a node lies in a folder, or what is left of one."""
    return any((folder / name).exists() for name in (FILE, "log", "keys"))


def read_settings(folder: Path) -> NodeSettings:
    """The settings of the node in a folder.

    Raises
    ------
    NotFound
        There is no node.
    DocumentError
        The file is empty, or says what no node can be; names the line and the rule, or the copy that a store has.
    Refused
        A later version of DIADEM wrote it.
    """
    path = folder / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        if holds_node(folder):
            back = f"Put it back: {copy_back(folder, FILE)}"
            raise NotFound(f"{FILE} of the node is gone", where=str(path), next=back) from error
        raise NotFound("there is no node here", where=str(folder), next="Make one: diadem init") from error
    except OSError as error:
        raise store_error(error, str(path), "the node's settings cannot be read") from error
    if is_blank(data):
        raise DocumentError(f"{FILE} is empty", where=str(path), next=f"Put it back: {copy_back(folder, FILE)}")
    try:
        return parse_settings(person_text(data, str(path)), where=str(path))
    except DocumentError as error:
        error.next = f"{error.next} Or put back the copy in a store: {copy_back(folder, FILE)}"
        raise


def parse_settings(text: str, *, where: str) -> NodeSettings:
    """The settings that the text of a `node.toml` holds; keys and tables that are not known here are passed over."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        advice = _IN_SINGLE_QUOTES if _has_backslash(text, error) else "Correct the line."
        raise DocumentError(f"{FILE} is not TOML: {error}", where=where, next=advice) from error
    found = str(document.get("format", ""))
    if found.startswith("diadem-node/") and found != FORMAT:
        raise Refused(f"{FILE} is of format '{found}', not {FORMAT}", where=where, next="Update DIADEM.")

    def told(bent: _Bent) -> DocumentError:
        line = line_of(text, bent.path)
        place = f"line {line}: " if line else ""
        return DocumentError(f"{place}{bent.message}", where=where, next=f"Correct it: {bent.rule}.")

    try:
        return _settings_of(document, told)
    except _Bent as bent:
        raise told(bent) from None


#: A path of Windows as people type it: in double quotes TOML makes a line feed of ``\n``, a tab of ``\t``.
_PLACES: Final = frozenset({"url", "folder"})
_IN_SINGLE_QUOTES: Final = "Write a path with backslashes between single quotes: url = 'D:\\archive'"


def _has_backslash(text: str, error: Exception) -> bool:
    """Whether there is one in the line that an error of TOML names."""
    line = re.search(r"at line (\d+)", str(error))
    return line is not None and "\\" in text.split("\n")[int(line[1]) - 1]


class _Bent(Exception):
    """What cannot be in a `node.toml`: where, what, and what would be right."""

    def __init__(self, path: Sequence[str | int], message: str, rule: str) -> None:
        super().__init__(message)
        self.path, self.message, self.rule = path, message, rule


def _settings_of(document: dict[str, Any], told: Callable[[_Bent], DocumentError]) -> NodeSettings:
    if document.get("format") != FORMAT:
        raise _Bent(("format",), "the file does not say that it is one of a node", f'format = "{FORMAT}"')
    recovery = _table(document, "recovery")
    tell, wrong = _tell_of(document)
    settings = NodeSettings(
        **{key: _text(document, (key,)) for key in ("name", "id", "machine", "created")},
        stores=tuple(_rows(document, "stores", StoreSettings)),
        users=tuple(_rows(document, "users", UserSettings)),
        **{f"recovery_{key}": _text(recovery, ("recovery", key), "") for key in ("file", "recipient", "confirmed")},
        catalogue=_text(_table(document, "catalogue"), ("catalogue", "url"), ""),
        watched=tuple(_rows(document, "watch", WatchSettings)),
        server=_row(ServerSettings, _table(document, "server"), ("server",)),
        carriers=tuple(_rows(document, "carrier", CarrierSettings)),
        tell=tuple(tell),
        tell_faults=tuple(map(told, wrong)),
    )
    if not re.fullmatch(r"[0-9a-f]{64}", settings.id):
        raise _Bent(
            ("id",), f"id = '{settings.id[:80]}' is not the id of a node", "64 hex digits, as in the recovery file"
        )
    if not settings.users:
        raise _Bent((), "the node has no user any more", "[[users]] is there for each user of the log")
    for number, store in enumerate(settings.stores):
        _require_store(store, ("stores", number))
    for number, url in enumerate(settings.server.urls):
        if not is_url(url):
            path = ("server", "urls", number)
            raise _Bent(
                path, f"server.urls: '{url[:100]}' is not an address of a node", "https://archive.example.org:8642"
            )
    for what, rows in (("stores", settings.stores), ("users", settings.users)):
        names = [row.name for row in rows]
        for number, name in enumerate(names):
            _require_name(what, number, name, names[:number])
    return settings


def _require_name(what: str, number: int, name: str, before: Collection[str]) -> None:
    if not NAME.fullmatch(name) or name in before:
        problem = "is there twice" if name in before else "cannot be a name"
        rule = "each has a name of its own, of letters a-z, digits, dots, hyphens and underscores"
        raise _Bent((what, number, "name"), f"[[{what}]]: '{name[:80]}' {problem}", rule)


def _tell_of(document: dict[str, Any]) -> tuple[list[TellSettings], list[_Bent]]:
    """Who is to be told, and what is wrong with others: no archive stands still for a mail."""
    rows: list[TellSettings] = []
    wrong: list[_Bent] = []
    try:
        tables = _tables(document, "tell")
    except _Bent as bent:
        return [], [bent]
    for number, table in enumerate(tables):
        try:
            row = _row(TellSettings, table, ("tell", number))
            _require_name("tell", number, row.name, [one.name for one in rows])
        except _Bent as bent:
            wrong.append(bent)
        else:
            rows.append(row)
    return rows, wrong


def _require_store(store: StoreSettings, path: _Place) -> None:
    """What is found out before a byte is copied there."""
    if not store.id:
        rule = f'its id is in {store.url}/.diadem/store.json, as "store"'
        raise _Bent(path, f"the store '{store.name}' has no id", rule)
    if store.kind not in STORE_KINDS:
        raise _Bent(
            (*path, "kind"), f"kind = '{store.kind}' is not a kind of store", f"one of {', '.join(STORE_KINDS)}"
        )
    place = local_path(store.url) if store.url else Path()
    if place is not None and not (place.is_absolute() or PureWindowsPath(store.url).is_absolute()):
        rule = "a folder with its whole path, or the address of a server"
        raise _Bent((*path, "url"), f"url = '{store.url}' of the store '{store.name}' is not a place", rule)


_Kind = TypeVar("_Kind")
_Place = tuple[str | int, ...]
#: By the type of its default: what a value is not, and what it is.
_WORDS: Final = {
    str: ("is not a text", "a text in quotes"),
    bool: ("is neither true nor false", "true or false"),
    int: ("is not a whole number", "a whole number"),
    tuple: ("is not a list of texts", "a list of texts"),
}


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name, {})
    if not isinstance(found, dict):
        raise _Bent((name,), f"{name} is not a table", f"[{name}]")
    return found


def _tables(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise _Bent((name,), f"{name} is not a list of tables", f"[[{name}]]")
    return found


def _rows(document: dict[str, Any], name: str, kind: type[_Kind]) -> Iterator[_Kind]:
    for number, row in enumerate(_tables(document, name)):
        yield _row(kind, row, (name, number))


def _row(kind: type[_Kind], table: dict[str, Any], path: _Place) -> _Kind:
    """A row of settings, of the keys that are known; each has the type of its default."""
    values: dict[str, Any] = {}
    for member in fields(kind):  # type: ignore[arg-type]
        default = "" if member.default is MISSING else member.default
        if member.name not in table:
            if member.default is MISSING:
                raise _Bent(path, f"[[{path[0]}]] has no {member.name}", f"{member.name} is a text in quotes")
            continue
        value = table[member.name]
        value = tuple(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else value
        if type(value) is not type(default):
            shown = f"{'.'.join(str(part) for part in path if isinstance(part, str))}.{member.name}"
            wrong, rule = _WORDS[type(default)]
            raise _Bent((*path, member.name), f"{shown} = {table[member.name]!r} {wrong}", f"it is {rule}")
        if member.name in _PLACES and any(character < " " for character in value):
            shown = f"{path[0]}.{member.name} = {value!r}"
            raise _Bent((*path, member.name), f"{shown} holds a control character", _IN_SINGLE_QUOTES)
        values[member.name] = value
    return kind(**values)


def _text(table: dict[str, Any], path: _Place, default: str | None = None) -> str:
    value = table.get(str(path[-1]), default)
    if not isinstance(value, str) or (default is None and not value):
        what = "is missing" if value is None else f"= {value!r} is not a text"
        raise _Bent(
            path, f"{'.'.join(map(str, path))} {what}", "a text in quotes, as a store's copy of this file has it"
        )
    return value


def settings_text(settings: NodeSettings, before: str = "") -> str:
    """The text of `node.toml`; what people and later versions wrote into the one before it is kept."""
    return edit_toml(
        before or _BEGIN,
        {"format": FORMAT, **{key: getattr(settings, key) for key in ("name", "id", "machine", "created")}},
        tables={
            "catalogue": {"url": settings.catalogue},
            "recovery": {key: getattr(settings, f"recovery_{key}") for key in ("file", "recipient", "confirmed")},
            "server": _values(settings.server),
        },
        left_out=[
            *([] if settings.catalogue else ["catalogue"]),
            *(["server"] if settings.server == ServerSettings() else []),
        ],
        lists={
            "stores": ("name", [_values(row) for row in settings.stores]),
            "users": ("name", [_values(row) for row in settings.users]),
            "watch": ("folder", [_values(row) for row in settings.watched]),
            "carrier": ("name", [_values(row) for row in settings.carriers]),
            **({} if settings.tell_faults else {"tell": ("name", [_values(row) for row in settings.tell])}),
        },
    )


_BEGIN: Final = "# A DIADEM node. Commands change it: store, user, watch, peer, tell; the rules are in policy.toml.\n"


def _values(row: Any) -> dict[str, Any]:
    found = {member.name: getattr(row, member.name) for member in fields(row)}
    return {name: list(value) if isinstance(value, tuple | list) else value for name, value in found.items()}


def write_settings(folder: Path, settings: NodeSettings, *, before: str | None = None) -> None:
    """Write `node.toml`, whole or not at all; `before` is the text that it goes on from, if another than it has."""
    path = folder / FILE
    if before is None:
        before = person_text(path.read_bytes(), str(path)) if path.exists() else ""
    write_whole(path, settings_text(settings, before).encode())


def machine_name() -> str:
    """What this machine is called; DIADEM_MACHINE where the system's name changes, as in containers."""
    import socket

    return os.environ.get("DIADEM_MACHINE") or socket.gethostname()
