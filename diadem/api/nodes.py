"""Nodes: made, opened, attached to."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload
from weakref import WeakValueDictionary

from diadem.api.extraction import work
from diadem.api.packages import StrPath, addressed, scan
from diadem.api.tools import tools
from diadem.errors import DiademError, NotFound, UsageError
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar
from diadem.network.network_verbs import NetworkVerbs
from diadem.node.context import Attached
from diadem.node.node import Node as _Node
from diadem.node.terminal import NODE_VARIABLE
from diadem.store.addresses import without_secrets
from diadem.store.system import account_home, account_name, or_else

if TYPE_CHECKING:
    from diadem.custody.report import CustodyReport
    from diadem.export.form import ExportedForm
    from diadem.hooks.offers import ExporterOffer
    from diadem.network.disk import Exported as ExportedDisk
    from diadem.network.peer_verbs import PeerVerbs
    from diadem.network.profiles import Profile
    from diadem.network.remote.node import RemoteNode
    from diadem.node.context import NodeTools
    from diadem.node.give.export import Exported
    from diadem.node.recover import RecoveredNode


class Node(_Node, NetworkVerbs):
    __doc__ = _Node.__doc__

    @property
    def again(self) -> Callable[[], Node]:  # type: ignore[override]  # stores are added later
        """Opens the node in another process: in its folder, else by one of its stores."""
        context = self.context
        # Of a store that is read from elsewhere the folder is a cache of this account alone.
        folder = None if isinstance(context, Attached) else str(context.folder)
        options = context.stores.options
        stores = {one.name: (one.url, without_secrets(options(one.name))) for one in context.settings.stores}
        return partial(_shared_again, context.settings.id, folder, context.user or None, stores)

    def __reduce__(self) -> tuple[Callable[[], Node], tuple[()]]:
        """One of its own in the other process, which may close it; what leads on to a node shares one."""
        return partial(_opened_again, *self.again.args), ()  # type: ignore[attr-defined]  # a partial, as above

    #: What `recover` found; None for a node that was opened.
    recovered: RecoveredNode | None = None

    @property
    def peers(self) -> PeerVerbs:
        """The other nodes: iterate over them, `ls`, `invite`, `join`, `confirm`, `drop` and others."""
        from diadem.network.peer_verbs import PeerVerbs

        return PeerVerbs(self.context)

    @overload
    def export(
        self,
        package: str,
        path: StrPath,
        *,
        for_: str,
        only: str | None = None,
        redact: bool = False,
        chain: bool = False,
        custody: bool = True,
        dry_run: bool = False,
        listener: Listener = progress_bar,
    ) -> Exported: ...

    @overload
    def export(
        self,
        package: str,
        path: StrPath,
        *,
        form: str,
        for_: str = "",
        dataset: str = "",
        search: bool = False,
        options: Mapping[str, Any] | Sequence[str] = (),
        dry_run: bool = False,
        listener: Listener = progress_bar,
    ) -> ExportedForm: ...

    @overload
    def export(
        self, package: str, path: StrPath, *, to: str, dry_run: bool = False, listener: Listener = progress_bar
    ) -> ExportedDisk: ...

    def export(
        self,
        package: str,
        path: StrPath,
        *,
        for_: str = "",
        to: str = "",
        only: str | None = None,
        redact: bool = False,
        chain: bool = False,
        custody: bool = True,
        form: str = "",
        dataset: str = "",
        search: bool = False,
        options: Mapping[str, Any] | Sequence[str] = (),
        dry_run: bool = False,
        listener: Listener = progress_bar,
    ) -> Exported | ExportedForm | ExportedDisk:
        """Give out a package: as a ZIP with a page that explains it, in a plugin's form, or on a disk to a node.

        Parameters
        ----------
        package : str
            Which one; with `search`, what is searched for.
        path : path or URL
            A new file: ``session.zip``; with `to`, a new or empty folder on a disk; with `form`, a new file or folder,
            or the address of the service, as the form wants it.
        for_ : str
            For whom: ``Marie Curie <m@x.org>``. The log records it. With `form` by default who exports it.
        to : str
            In its place, a person at another node, ``marie@nmi``: it is offered to them and sealed for their node, as
            by `export_disk`.
        only : {"raw", "record"}, optional
            The instrument's files alone, or the metadata alone. Default: the package, byte for byte.
        redact : bool
            Remove names of people, computers and places on disks from what DIADEM derived, and list where they still
            stand in the instrument's files. What comes out is an ordinary bag, not the package any more.
        chain : bool
            All packages of the session.
        custody : bool
            Put into the ZIP of a whole package who had it until now, as the log says. That names people; False leaves
            it out, and the package stays what it is.
        form : str
            A form that a plugin offers, ``nxem`` or ``eln``, or a service: `diadem.plugins` lists them as exporters.
            What it is given is corrected as the owner said, and what it reads is proven.
        dataset : str
            With `form`, only this dataset, by its path or id.
        search : bool
            With `form`, all packages that a search finds; `package` is the query.
        options : mapping, or sequence of str
            Of the form: ``{"files": True}``, or as on the command line, ``["files=true"]``.
        dry_run : bool
            Say what would be done, and write nothing.
        listener : Listener
            Told of progress.

        Raises
        ------
        UsageError
            Nobody is named, or two; only a part is for another node; or there is no such form or option.
        Refused
            The file exists, a fact is missing that the form needs, or no store can hold the statement that it was given
            out; or as `export_disk`.
        IntegrityError
            A file is damaged in every copy; nothing was exported.
        """
        form = "" if form == "zip" else form
        if not form and (dataset or search or options):
            raise UsageError("dataset, search and options are for a form", next="Name one: form=…")
        part = only or redact or chain or not custody
        if form and (to or part):
            raise UsageError("a form is made of the whole package", next="Leave out to, only, redact, chain, custody.")
        if form:
            return self._export_form(
                package, path, form, to=for_, dataset=dataset, search=search, options=options, dry_run=dry_run,
                listener=listener,
            )  # fmt: skip
        if not to:
            return super().export(
                package, path, for_=for_, only=only, redact=redact, chain=chain, custody=custody, dry_run=dry_run,
                listener=listener,
            )  # fmt: skip
        if for_ or part:
            raise UsageError("a disk holds one whole package", next="Leave out for_, only, redact, chain, custody.")
        return self.export_disk(package, to, path, dry_run=dry_run, listener=listener)

    @property
    def forms(self) -> Sequence[ExporterOffer]:
        """The forms in which packages leave by `export`, and the services that they go to, as plugins offer them."""
        return tuple(self.context.tools.exporters)

    @classmethod
    def create(
        cls,
        path: StrPath,
        *,
        name: str,
        user: str,
        store: str,
        full_name: str = "",
        kind: str | None = None,
        recovery_file: StrPath | None = None,
        passphrase: str = "",
        protection: str = "file",
        key_passphrase: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
        catalogue: str | None = None,
    ) -> Self:
        """Make a node on a local disk of this machine, with its first user and its first store.

        Parameters
        ----------
        path : path
            A new or empty folder; small, on a local disk.
        name : str
            What people call the node: ``hu-berlin``.
        user : str
            Short name of the first user: ``alice``; `full_name` as a person writes it.
        store : path or URL
            Where packages go first; must not be in the node's folder.
        kind : str, optional
            What kind of store it is: ``disk``, ``nas``, ``object``, ``offsite`` or ``cold``.
        recovery_file : path, optional
            Where to write what is needed to restore the node; default ``<path>-recovery.txt``. Move it away.
        passphrase : str
            Protects the recovery file.
        protection : {"file", "passphrase", "keyring"}
            How the user's key is protected on this machine; `key_passphrase` with ``passphrase``.
        storage_options : mapping, optional
            For fsspec, for the store.
        catalogue : str, optional
            Where the catalogue lies: ``file``, beside the node's settings, or ``postgresql://user@host/database``
            (``?schema=name``; no password). Default: the environment variable DIADEM_CATALOGUE, else ``file``.

        Raises
        ------
        Refused
            The folder has content, lies on a network file system, or node and store lie in each other.
        Unreachable
            The store does not answer; nothing is left behind.

        Notes
        -----
        Where a run with the same words was killed, it is gone on with; where one was done, the node is opened.
        """
        from diadem.node.make import NewNode, making

        folder = Path(path).absolute()
        new = NewNode(
            folder,
            name=name,
            user=user,
            store=os.fspath(store),
            recovery_file=Path(recovery_file or f"{folder}-recovery.txt"),
            full_name=full_name,
            kind=kind or "disk",
            passphrase=passphrase,
            protection=protection,
            key_passphrase=key_passphrase,
            storage_options=storage_options,
            catalogue=catalogue,
        )
        new.require_possible()
        options = {"main": storage_options} if storage_options else None
        with making(new.folder) as drafts:
            fresh = new.create(drafts)
            with or_else(lambda: new.undo() if fresh else None):
                node = cls.at(new.folder, user=None, storage_options=options)
                node.stores.add(new.store, name="main", kind=kind, options=storage_options)
        return node

    @classmethod
    def recover(
        cls,
        path: StrPath,
        store: StrPath,
        *,
        recovery_file: StrPath,
        passphrase: str = "",
        reason: str = "the node's directory was lost",
        storage_options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Restore a lost node from one of its stores and its recovery file; or what its folder lacks.

        Parameters
        ----------
        path : path
            A new or empty folder on a local disk of this machine; or that of the node, where keys, log or settings
            are gone or damaged: what is whole in it stays.
        store : path or URL
            Any store of the node.
        recovery_file : path
            Written when the node was made; with its `passphrase`.
        reason : str
            Kept in the log.
        storage_options : mapping, optional
            For fsspec, for the store.

        Returns
        -------
        Node
            Its `recovered` says what was found. A restored log continues as a new epoch.

        Raises
        ------
        NotFound
            The store has nothing from this node.
        Refused
            The passphrase is wrong, the recovery file is another node's, or the folder has content.
        """
        from dataclasses import replace

        from diadem.node.recover import finish_recovery, recover_node
        from diadem.node.recovery_file import read_recovery
        from diadem.store.addresses import local_path

        folder, place = Path(path).absolute(), local_path(os.fspath(store))
        url = str(place.absolute()) if place is not None else os.fspath(store)
        secret = read_recovery(Path(recovery_file), passphrase)
        recovered = recover_node(folder, url, secret, reason=reason, storage_options=storage_options)
        options = recovered.options(storage_options)
        node = cls.at(folder, user=None, storage_options=options, rebuild=recovered.rebuild)
        if recovered.rebuild or recovered.brought:
            node.remirror()
        notes = node.reindex().notes if recovered.rebuild else ()
        finish_recovery(folder)
        answered = sum(state.reachable for state in node.stores)
        node.recovered = replace(
            recovered, packages=node.context.catalogue.count(), stores=answered, notes=(*recovered.notes, *notes)
        )
        return node

    @classmethod
    def at(
        cls,
        folder: Path,
        *,
        user: str | None,
        storage_options: Mapping[str, Mapping[str, Any]] | None = None,
        ask: Callable[[str], str] | None = None,
        rebuild: bool = False,
        sick: bool = False,
    ) -> Self:
        """The node in this folder; see `open_node`."""
        from diadem.node.open import open_context
        from diadem.node.peers.book import peer_id

        context = open_context(
            folder,
            user=user,
            gather=tools_of_now(),
            storage_options=storage_options,
            ask=ask,
            rebuild=rebuild,
            sick=sick,
        )
        context.peer_id = partial(peer_id, context)
        return cls(context)


def _opened_again(
    node: str, folder: str | None, user: str | None, stores: Mapping[str, tuple[str, Mapping[str, Any] | None]]
) -> Node:
    """A node that another process had opened: in its folder, else by one of its stores, for reading."""
    problems: list[DiademError] = []
    options = {name: given for name, (_, given) in stores.items() if given}
    places = [(folder, options)] if folder is not None else []
    for place, given in (*places, *((url, {name: one} if one else {}) for name, (url, one) in stores.items())):
        try:
            found = open_node(place, user, storage_options=given)
        except DiademError as error:
            problems.append(error)
            continue
        if found.id == node:
            return found
        found.close()
    raise problems[-1] if problems else NotFound("the node is not here", where=folder, next="diadem.open_node(…)")


def _shared_again(node: str, folder: str | None, user: str | None, stores: Mapping[str, Any]) -> Node:
    """The same, opened once for as long as a package or a row that came from elsewhere holds it."""
    key = (node, folder, user)
    with _OPENING:
        if (known := _OPENED.get(key)) is None:
            known = _OPENED[key] = _opened_again(node, folder, user, stores)
    return known


_OPENED: WeakValueDictionary[tuple[str, str | None, str | None], Node] = WeakValueDictionary()
_OPENING = threading.Lock()


def check_new_node(
    path: StrPath, *, name: str = "", user: str = "", store: str = "", recovery_file: StrPath | None = None
) -> bool:
    """Look at everything that would refuse `Node.create`, before a person thinks of a passphrase, and raise as it does.

    What is not known yet is left out. Whether a run with the same words has begun it: its recovery file is written.
    """
    from diadem.node.make import NewNode

    folder = Path(path).absolute()
    recovery = Path(recovery_file or f"{folder}-recovery.txt")
    return NewNode(folder, name=name, user=user, store=store, recovery_file=recovery).require_possible()


def usual_node() -> tuple[str, str]:
    """Where an account would have its node, and the name of its user; "" for what the account does not have."""
    home = account_home()
    return str(home / "diadem-node") if home else "", account_name().lower()


def tools_of_now() -> Callable[[], NodeTools]:
    """What gathers the readers, workers and scan of this moment, `trying` included, once somebody asks for them."""
    here, turn = copy_context(), threading.Lock()
    found: list[NodeTools] = []

    def gather() -> NodeTools:
        with turn:
            if not found:
                found.append(here.run(_node_tools))
            return found[0]

    return gather


def _node_tools() -> NodeTools:
    """Readers, workers and scan, as a node gets them."""
    from diadem.hooks.offers import CarrierOffer, CheckOffer, ExporterOffer
    from diadem.node.context import NodeTools

    given = tools()
    judge = partial(given.extractor, previews=False, vendor=False, assess=True)
    return NodeTools(
        given.readers,
        given.extractor,
        given.software,
        scan,
        judge=judge,
        checks=given.offers.of(CheckOffer),
        work=work,
        addressed=addressed,
        identity=given.identity,
        transports=given.offers.of(CarrierOffer),
        exporters=given.offers.of(ExporterOffer),
    )


def open_node(
    path: StrPath | None = None,
    user: str | None = None,
    *,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
    ask: Callable[[str], str] | None = None,
    rebuild: bool = False,
    sick: bool = False,
) -> Node:
    """Open a node; or, for reading only, one of its stores from another PC.

    Parameters
    ----------
    path : path or URL, optional
        The node's folder, or one that holds it as ``node``, as `diadem demo` makes it; or a store's folder or address.
        Default: the environment variable DIADEM_NODE, else the node that this account made or
        recovered last with `diadem init`.
    user : str, optional
        Who acts; default the node's first user.
    storage_options : mapping of str to mapping, optional
        For fsspec, by the store's name.
    ask : callable, optional
        Asks a person for the passphrase of a key.
    rebuild : bool
        Open it although its catalogue is damaged, for `Node.reindex`; the damaged file is moved aside.
    sick : bool
        Open it although its catalogue is gone or damaged, to look at it: `Node.doctor` and `Node.jobs` need none, and
        whatever does says what is wrong with it. Nothing is moved.

    Raises
    ------
    NotFound
        There is no node.
    Refused
        It is another machine's, or lies on a network file system: open one of its stores instead.
    """
    from diadem.node.config import holds_node
    from diadem.node.open import default_node
    from diadem.store.addresses import local_path

    where = os.fspath(path) if path is not None else os.environ.get(NODE_VARIABLE) or default_node()
    if not where:
        raise NotFound(
            "there is no node yet", next=f"Make one: diadem init   (or name it: --node FOLDER, or {NODE_VARIABLE})"
        )
    place = local_path(where)
    for folder in () if place is None else (place, place / "node"):
        if holds_node(folder):
            return Node.at(
                folder.absolute(), user=user, storage_options=storage_options, ask=ask, rebuild=rebuild, sick=sick
            )
    from diadem.node.open import attach

    return Node(attach(where, user=user, gather=tools_of_now(), storage_options=storage_options))


# -- from a laptop, or without a node ---------------------------------------------------------------------------------


def connect(url: str | None = None, user: str | None = None, *, ask: Callable[[str], str] | None = None) -> RemoteNode:
    """Work with a node over the network, as the user that `diadem login TICKET` has made of you.

    What comes from it is proven here: packages against their ids, every leaf (1 MiB) before its bytes are used. Your
    key stays on this account; what you say is compared with what the node has written out, and signed here.

    Parameters
    ----------
    url : str, optional
        ``https://host:port`` of a node on which you are a user. Default: the environment variable DIADEM_NODE, else the
        only node that there is a profile for.
    user : str, optional
        ``bob`` or ``bob@hu-berlin``, where you are several.
    ask : callable, optional
        Asks a person for the passphrase of the key that it is given the name of; else DIADEM_PASSPHRASE counts.

    Raises
    ------
    Refused
        This account knows no key of a node at this address, so that anybody might answer there: log in first.
    UsageError
        Several profiles fit.
    Unreachable
        The node does not answer, or somebody else answers in its place.
    """
    from diadem.network.client import PeerClient
    from diadem.network.profiles import choose_profile, open_key
    from diadem.network.remote.node import RemoteNode

    given = url or os.environ.get(NODE_VARIABLE, "")
    profile = choose_profile(given if given.startswith("https://") else "", user or "")
    key = open_key(profile, ask)
    at_hand, contact = tools(), profile.contact
    urls = sorted(contact.urls, key=lambda one: one != given.rstrip("/"))
    client = PeerClient(urls, contact.tls, contact.node, key, name=contact.name)
    return RemoteNode(
        client,
        profile,
        key,
        readers=tuple(at_hand.readers),
        extractor=at_hand.extractor,
        again=partial(connect, contact.urls[0], profile.address),
    )


def login(ticket: str, *, full_name: str = "", passphrase: str = "") -> Profile:
    """Become a user of a node, by a ticket: makes a key that stays on this account, and a profile.

    Parameters
    ----------
    ticket : str
        The text that `diadem user invite` printed on the node.
    full_name : str
        Your name, as you write it.
    passphrase : str
        Protects the key; "" leaves it to the permissions of the file.

    Returns
    -------
    Profile
        Your address, where the node is, and the file of your key.

    Raises
    ------
    UsageError
        It is not a ticket, or one for a node.
    Refused
        It does not hold, or was used already: then somebody else had it.
    Unreachable
        The node does not answer; the same call goes on with the same key.
    """
    from diadem.network import profiles

    return profiles.login(ticket, full_name=full_name, passphrase=passphrase)


def verify_custody(
    *files: StrPath, pins: Collection[str] | None = None, checkpoints: Sequence[StrPath] = ()
) -> CustodyReport:
    """Check ``chain.json`` files offline: who gave what to whom, and what of it is proven.

    Parameters
    ----------
    *files : path
        What `diadem custody ID --export` wrote, from any node; several are compared with each other.
    pins : collection of str, optional
        Ids of the nodes that you trust. Without them everything is proven relative to the node ids that the report
        names: compare those with what the nodes' people tell you.
    checkpoints : sequence of path
        Checkpoints that you kept from earlier: a rewritten log is caught by them.

    Returns
    -------
    CustodyReport
        Each step is *proved*, *claimed by one side*, *missing* or *contradicted*.

    Raises
    ------
    NotFound
        A file is not there.
    """
    from diadem.node.custody_chains import verify_custody_files

    return verify_custody_files(
        [Path(file) for file in files], pins=pins, checkpoints=[Path(file) for file in checkpoints]
    )
