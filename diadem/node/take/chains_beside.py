"""Chains of custody that come beside packages: checked, compared with those that are kept, and kept.

Whatever is wrong with one is told and keeps no package out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from diadem.custody.chain import MAX_BYTES, Chain, begins_chain, own_chain
from diadem.custody.report import Verdict
from diadem.custody.verify import verify_chains
from diadem.errors import DiademError, DocumentError, NotFound, PackageError, Refused
from diadem.export.pages import CORRECTIONS
from diadem.model.manifest import PackageId
from diadem.model.peers import PeerState
from diadem.node.chain_shelf import ChainShelf
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.node.quality.amend import came_from
from diadem.node.take.files_beside import MAX_CHAINS, FileBeside

#: Chains, and their bytes, that are kept of those that came with one package: they are read each time, and go on.
_MOST_KEPT, _MOST_BYTES = 100, 2 * MAX_BYTES


def keep_chains(
    context: Context, beside: Sequence[FileBeside], known: Mapping[PackageId, bool]
) -> Iterator[tuple[str, str]]:
    """Keep the custody that came with packages, one chain after the other; of what is not kept the name, and why."""
    left = MAX_CHAINS
    for name, size, read in (one for one in beside if one.name != CORRECTIONS):
        if size > min(left, MAX_BYTES):
            yield name, f"not taken over: of chains no more than {MAX_CHAINS:,} bytes are read, {MAX_BYTES:,} of each"
            continue
        left -= size
        try:
            data = read(size)
        except (OSError, PackageError, Refused) as error:
            why = error.message if isinstance(error, DiademError) else f"it cannot be read: {error.strerror}"
        else:
            why = keep_chain(context, data, known)
        if why:
            yield name, f"not taken over: {why}"


def keep_chain(context: Context, data: bytes, packages: Mapping[PackageId, bool]) -> str:
    """Keep a chain; why it is not kept, or "".

    `packages` are those that it may be about, and whether each was here before.
    """
    try:
        chain = Chain.from_bytes(data)
    except DocumentError as error:
        return f"it is no chain as DIADEM writes it ({error.message})" if begins_chain(data) else ""
    package = next((one for one in packages if one.hex == chain.subject.sha256), None)
    if package is None:
        return ""
    if any(len({one.line for one in items}) < len(items) for items in (chain.statements, chain.keys)):
        return "it has a statement more than once"
    if chain.node == context.settings.id:
        if (why := _own_log_says(context, chain, data)) is not None:
            return why
    elif packages[package] and not _is_believed(context, package, chain.node):
        return (
            f"this node does not know who signed it ({chain.node[:12]}…), and had the package before. "
            "To have it, meet that node (diadem peer invite), and import this again"
        )
    shelf = ChainShelf(context.folder)
    kept = {path: known for path, known in shelf.readable(package.hex).items() if path.stem == chain.node}
    report = verify_chains([*kept.values(), data], pins=[chain.node])
    if wrong := [*report.of(Verdict.CONTRADICTED), *report.of(Verdict.MISSING)]:
        return f"{wrong[0].sentence} {wrong[0].reason or ''}".rstrip()
    if (place := _place(chain, package, kept)) is None:
        return ""
    others = [path for path in shelf.about(package.hex) if (path.parent.name, path.stem) != (place, chain.node)]
    if len(others) >= _MOST_KEPT or len(data) + sum(path.stat().st_size for path in others) > _MOST_BYTES:
        return f"{len(others)} chains came with this package already, and no more are kept"
    shelf.keep(place, chain.node, data)
    return ""


def _is_believed(context: Context, package: PackageId, node: str) -> bool:
    """Whether a node may say something new of a package that was here: as with corrections."""
    if came_from(context, str(package)) == node:
        return True
    if any(path.stem == node for path in ChainShelf(context.folder).about(package.hex)):
        return True
    return any(one.id == node and one.state is PeerState.CONFIRMED for one in peer_book(context).ls())


def _place(chain: Chain, package: PackageId, kept: Mapping[Path, bytes]) -> str | None:
    """Where a chain is kept: in the place of one that says less; None where one that is kept says as much."""
    said = {one.line for one in chain.statements}
    before = {path.parent.name: {one.line for one in Chain.from_bytes(data).statements} for path, data in kept.items()}
    if any(said <= lines for lines in before.values()):
        return None
    less = next((place for place, lines in before.items() if lines <= said), "")
    if less or not before:
        return less or package.hex
    # The end of the log that the node lost is in no later chain, which therefore takes no place but its own.
    return f"{package.hex}-{max((one.epoch for one in chain.checkpoints), default=0)}"


def _own_log_says(context: Context, chain: Chain, data: bytes) -> str | None:
    """Why a chain of this node is not kept, or ""; None where it has what the node's log lost and others kept."""
    own = None
    with suppress(NotFound):
        own = own_chain(context.ledger, chain.subject.sha256)
    files = [data] if own is None else [own.to_bytes(), data]
    if wrong := verify_chains(files, names=["this node's log", "it"], own=True).of(Verdict.CONTRADICTED):
        return f"it is not what this node's log says. {wrong[0].sentence} {wrong[0].reason or ''}".rstrip()
    more = {one.line for one in chain.statements} - {one.line for one in (own.statements if own is not None else ())}
    if more and len(context.ledger.epochs) == 1:
        return f"{len(more)} of its statements are not in this node's log, which signed them: it is of an earlier day"
    return None if more else ""
