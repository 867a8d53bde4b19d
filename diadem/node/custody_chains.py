"""Custody of a package: who took it in, who copied, checked, mended and gave it away; shown, exported, checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from diadem.custody.chain import MAX_BYTES, export_chain, own_chain
from diadem.custody.report import CustodyReport
from diadem.custody.verify import verify_chains
from diadem.errors import NotFound, Refused, UsageError
from diadem.model.manifest import PREFIX, PackageId
from diadem.model.peers import PeerState
from diadem.model.samples import is_sample_id
from diadem.model.statements import Subject
from diadem.node.chain_shelf import ChainShelf
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.store.whole import write_whole

#: Kinds that say of a transfer which one it is, and transfers of a package that are shown with it.
_OF_TRANSFERS: Final = ("offer", "acceptance")
_MOST_KEPT: Final = 100
#: Bytes of a chain file that are read.
_LIMIT = 1 << 30


def custody(context: Context, subject: str) -> CustodyReport:
    """The chain of a package, or of any subject of the log, checked by this node for itself.

    What other nodes proved of the transfers of a package is checked with it, as far as they are confirmed peers.
    """
    sha256 = subject_of(context, subject)
    chains = [own_chain(context.ledger, one) for one in (sha256, *_permitted(context, sha256))]
    kept = [
        (f"the kept chain of {path.stem[:12]}… on the transfer {transfer[:8]}…", _as_it_is(path))
        for transfer, _, paths in _kept(context, sha256)
        for path in paths
    ]
    kept += [(f"the chain of {one.stem[:12]}… that came with it", _as_it_is(one)) for one in _came(context, sha256)]
    peers = [peer.id for peer in peer_book(context).ls() if peer.state is PeerState.CONFIRMED] if kept else []
    report = verify_chains(
        [*(chain.to_bytes() for chain in chains), *(data for _, data in kept)],
        names=[*(["this node's log"] * len(chains)), *(name for name, _ in kept)],
        pins=[context.settings.id, *peers],
        own=True,
    )
    doubts = context.catalogue.cautions([PREFIX + sha256]).get(PREFIX + sha256, ())
    return replace(report, warnings=tuple(one.sentence for one in doubts))


def _as_it_is(path: Path) -> bytes:
    """A kept chain; nothing where the disk does not give it, which is no chain: the others are shown all the same."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _permitted(context: Context, sha256: str) -> Iterator[str]:
    """The relays that this node permitted for transfers of a package, as subjects of its log."""
    for entry in context.ledger.of_subject(sha256, ["acceptance"]):
        relay = entry.statement.predicate.get("relay")
        if isinstance(relay, str) and context.ledger.of_subject(about := Subject.named(f"relay:{relay}").sha256):
            yield about


def _kept(context: Context, sha256: str) -> Iterator[tuple[str, set[str], Sequence[Path]]]:
    """Transfers of a package, the latest first, the ids of the nodes at both sides, and the chains that others gave."""
    said = [entry.statement for entry in context.ledger.of_subject(sha256, _OF_TRANSFERS)]
    transfers = list(dict.fromkeys(str(one.predicate["transfer"]) for one in reversed(said)))
    for transfer in transfers[:_MOST_KEPT]:
        of_it = [one.predicate for one in said if one.predicate["transfer"] == transfer]
        parties = {str(one[name]) for one in of_it for name in ("sender", "recipient") if name in one}
        yield transfer, parties, ChainShelf(context.folder).about(transfer)


def _came(context: Context, sha256: str) -> Sequence[Path]:
    """The chains of others that came beside a package."""
    return ChainShelf(context.folder).about(sha256)


def enclosed_chains(context: Context, packages: Iterable[PackageId], *, most: int = MAX_BYTES) -> Iterator[bytes]:
    """What goes beside packages that are given away: this node's chain of each, and those that came with it.

    None for which more bytes than `most` would have to be read.
    """
    for package in packages:
        with suppress(NotFound, Refused):  # the log says nothing of it, or more than anybody reads
            if context.ledger.bytes_about(package.hex) <= most:
                yield _exported(context, package.hex, ())
        yield from ChainShelf(context.folder).readable(package.hex, most=most).values()


def export_custody(context: Context, subject: str, path: Path, *, since: Sequence[str] = ()) -> Path:
    """Write the chain of a package with keys, proofs and checkpoints, to be checked by anyone offline."""
    context.require_writable()
    _write_new(path, _exported(context, subject_of(context, subject), since))
    return path


def export_relays(context: Context, subject: str, path: Path) -> list[Path]:
    """Write what belongs to the chain of a package: what hubs stated that carried it, and what came with it of others.

    They are written beside the chain's file, and are named after it.
    """
    context.require_writable()
    sha256 = subject_of(context, subject)
    found = [("permit", _exported(context, about, ())) for about in _permitted(context, sha256)]
    for _, parties, kept in _kept(context, sha256):  # hubs are neither side of the transfer
        found += [("hub", file.read_bytes()) for file in kept if file.stem not in parties]
    names = [f"{kind}-{number}" for number, (kind, _) in enumerate(found, 1)]
    came = ChainShelf(context.folder).readable(sha256).values()
    names += [str(number) for number, _ in enumerate(came, 2)]  # as in a ZIP of the package
    paths = [path.with_name(f"{path.stem}-{name}{path.suffix}") for name in names]
    for place, data in zip(paths, [*(data for _, data in found), *came], strict=True):
        _write_new(place, data)
    return paths


def _exported(context: Context, sha256: str, since: Sequence[str]) -> bytes:
    return export_chain(context.ledger, sha256, [context.keys.open("online")], clock=context.clock, since=since)


def _write_new(path: Path, data: bytes) -> None:
    if path.exists():
        raise UsageError("the file is there already", where=str(path), next="Name another file.")
    write_whole(path, data)


def subject_of(context: Context, text: str) -> str:
    """The SHA-256 that is meant: of a package by the beginning of its id, of a sample by its id, else 64 hex digits."""
    if is_sample_id(text):
        return Subject.named(text).sha256
    try:
        return context.catalogue.get(text).id.removeprefix(PREFIX)
    except NotFound:
        plain = text.removeprefix(PREFIX).lower()
        if len(plain) == 64 and all(letter in "0123456789abcdef" for letter in plain):
            return plain
        raise


def verify_custody_files(
    paths: Sequence[Path], *, pins: Collection[str] | None = None, checkpoints: Sequence[Path] = ()
) -> CustodyReport:
    """Check chain files from anyone, offline; no node is needed. See `diadem.verify_custody`."""
    kept = [_read(path).decode("utf-8", "replace") for path in checkpoints]
    return verify_chains(
        [_read(path) for path in paths], names=[str(path) for path in paths], pins=pins, checkpoints=kept
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as source:
            data = source.read(_LIMIT + 1)
    except OSError as error:
        raise NotFound(f"the file cannot be read: {error.strerror}", where=str(path), next="Check the path.") from error
    if len(data) > _LIMIT:
        raise UsageError("the file is too large for a chain", where=str(path), next="Name a chain.json file.")
    return data
