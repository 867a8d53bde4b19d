"""Packing: a plan becomes a package in a store, by way of the draft that the store hands out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from diadem.errors import Interrupted
from diadem.extract.pool import Extractor
from diadem.model.manifest import PackageId
from diadem.model.ports import Bundle, Listener
from diadem.model.report import Level
from diadem.model.system_paths import path_within
from diadem.pack.compose import Options, compose, hash_only, refuse_if_strict
from diadem.pack.plan import PackPlan
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.verify import verify
from diadem.store.contract import Store, Swept, proof_of
from diadem.store.copy import Copier
from diadem.store.system import READ_FLAGS, SinkFailed, long_path, store_error


@dataclass(frozen=True, slots=True)
class Outcome:
    """What packing did.

    Attributes
    ----------
    created : bool
        False where the store held this payload already.
    omissions : sequence of mapping
        What was left out: path, kind, reason.
    issues : mapping of str to int
        Codes of the datasets' issues and how often each came.
    flagged : sequence of (path, code)
        The first datasets with issues: primary file and code.
    swept : sequence of Swept
        Leftovers of dead writers that were removed.
    proof : str
        Why the bytes in the store are known to be right: ``written`` (hashed as they were written), ``server``
        (it checked every part), ``read-back`` (every leaf read), ``earlier`` (there already, sizes and tag files
        checked) or ``none``.
    seconds : float
        Time taken.
    """

    created: bool
    omissions: Sequence[Mapping[str, str]] = ()
    issues: Mapping[str, int] = field(default_factory=dict)
    flagged: Sequence[tuple[str, str]] = ()
    swept: Sequence[Swept] = ()
    proof: str = "written"
    seconds: float = 0.0

    @property
    def proven(self) -> bool:
        """Whether all bytes were hashed as they were written, by the writer or the server."""
        return self.created and self.proof != "none"


@dataclass(frozen=True, slots=True)
class Packed:
    """A package that was packed, or was there: its id, its path in the store, and what its tag files say, if known."""

    package: PackageId
    path: str
    outcome: Outcome
    opened: TagFiles | None = None


def pack(plan: PackPlan, store: Store, *, extractor: Extractor, options: Options, listener: Listener) -> Packed:
    """Pack into a store, unless a sound package with this payload is there.

    Raises `Refused` with `strict`, where anything would be left out, or where the store refuses; `Unreachable` or
    `StoreError` where it does not answer, or cannot be written; `DigestMismatch` where the source changed between two
    reads, and the store is one that needs two; `Interrupted` on Ctrl-C. Nothing is visible after any of them.
    """
    started = time.monotonic()
    refuse_if_strict(plan.tree.omissions, options)
    is_sound = _soundness(store.recheck)
    there = proof_of(store.recheck)
    # What is open keeps a folder from being removed where the file system is FUSE or NFS: the copier is closed first.
    with packing_errors(store.url), store.draft() as draft, Copier() as copier:
        packed = _already_there(plan, store, is_sound, there, options, copier, listener)
        if packed is None:
            draft.begin(plan.tree.allocated)
            composed = compose(plan, draft, extractor=extractor, options=options, copier=copier, listener=listener)
            published = draft.publish(
                composed.name,
                tree=plan.tree_digest,
                open_source=lambda entry: os.fdopen(os.open(long_path(plan.files[entry.name].path), READ_FLAGS), "rb"),
                is_sound=is_sound,
                listener=listener,
            )
            opened = published.opened or open_tag_files(store.bundle(published.path))
            outcome = Outcome(published.created, composed.omissions, proof=published.proof)
            if published.created:
                outcome = replace(outcome, issues=composed.issues, flagged=composed.flagged)
            packed = Packed(opened.id, published.path, outcome, opened)
    outcome = replace(packed.outcome, swept=draft.swept, seconds=time.monotonic() - started)
    return replace(packed, outcome=outcome)


def _soundness(level: Level) -> Callable[[Bundle], bool]:
    """Whether a package that is there is whole, as far as the store rechecks: the user may delete the source next.

    One that was read stays judged for the run: a damaged one of a terabyte is not read a second time.
    """
    judged: dict[str, bool] = {}

    def is_sound(bundle: Bundle) -> bool:
        if bundle.url not in judged:
            judged[bundle.url] = verify(bundle, level=level).ok
        return judged[bundle.url]

    return is_sound


def _already_there(
    plan: PackPlan,
    store: Store,
    is_sound: Callable[[Bundle], bool],
    proof: str,
    options: Options,
    copier: Copier,
    listener: Listener,
) -> Packed | None:
    """The package that a source is archived in: a tree that looks like one is hashed before anything is copied."""
    if not store.knows_tree(plan.tree_digest):
        return None
    payload, omissions = hash_only(plan, options=options, copier=copier, listener=listener)
    bundle = next((bundle for bundle in store.bundles(payload) if is_sound(bundle)), None)
    if bundle is None:
        return None
    opened, path = open_tag_files(bundle), path_within(store.url, bundle.url)
    store.flush_name(path)
    return Packed(opened.id, path, Outcome(created=False, omissions=omissions, proof=proof), opened)


@contextmanager
def packing_errors(url: str) -> Iterator[None]:
    """Ctrl-C becomes `Interrupted`, a copy that cannot be written `StoreError`."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            "packing was stopped; nothing half-made is in the store", next="Run the same command again."
        ) from error
    except SinkFailed as error:
        raise store_error(error.cause, url) from error.cause
