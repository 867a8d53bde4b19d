"""Packing a session into the first store that can take it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from diadem.archive.package import Package
from diadem.errors import DiademError, PackageError, StoreError, Unreachable
from diadem.model.ports import Bundle, Listener
from diadem.node.context import Context
from diadem.node.workers import Workers
from diadem.pack.compose import Options
from diadem.pack.pack import Outcome, Packed, pack
from diadem.pack.plan import PackPlan
from diadem.package.examine import TagFiles, open_tag_files
from diadem.store.addresses import local_path
from diadem.store.contract import Store

Done = TypeVar("Done")
#: Seconds between looks for what another machine has written.
_PAUSES = (0.2, 0.5, 1.0, 3.0)


def into_first(context: Context, store: str | None, put: Callable[[str, Store], Done]) -> Done:
    """What putting something into the first store that can take it gives; `put` is given a store's name and the store.

    The wished for alone is tried; else folders, then servers, cold ones last.
    """
    problems: dict[str, DiademError] = {}
    for name in stores_in_order(context, store):
        try:
            return put(name, context.stores.require_there(name))
        except (Unreachable, StoreError) as error:  # it is away, full or failing: the next one is not
            problems[name] = error
    only = next(iter(problems.values())) if len(problems) == 1 else None
    if isinstance(only, StoreError):
        raise only
    reasons = "; ".join(f"{name}: {error.message}" for name, error in problems.items())
    raise Unreachable(
        f"no store can take the package: {reasons or 'the node has none'}",
        next="Connect a store, or add one: diadem store add PLACE",
    )


def stores_in_order(context: Context, store: str | None) -> list[str]:
    """The stores that are tried, in order; see `into_first`."""
    if store:
        return [context.settings.store(store).name]
    usable = [one for one in context.settings.stores if not one.retired]
    return [one.name for one in sorted(usable, key=lambda one: (one.kind == "cold", local_path(one.url) is None))]


def pack_into_first(
    context: Context, plan: PackPlan, options: Options, *, store: str | None, listener: Listener
) -> tuple[str, str, Package]:
    """Pack into the first store that can take it; its name, the path in it, and the package."""
    with context.tools.extractor() as extractor:
        if context.workers is None and any(dataset.offers for dataset in plan.datasets):
            extractor.warm()

        def put(name: str, place: Store) -> tuple[str, str, Package]:
            if context.workers is None:
                packed = pack(plan, place, extractor=extractor, options=options, listener=listener)
            else:
                packed = _pack_there(context, context.workers, name, plan, options)
            bundle, outcome = place.bundle(packed.path), packed.outcome
            package = package_in(context, bundle, outcome, opened=packed.opened, proven=outcome.proven)
            return name, packed.path, package

        return into_first(context, store, put)


def _pack_there(context: Context, workers: Workers, store: str, plan: PackPlan, options: Options) -> Packed:
    """Have a worker pack, and open what it packed: the id is that of the tag files which this machine reads."""
    packed = workers.pack(
        store=context.settings.store(store),
        plan=plan,
        options=replace(options, judge=None, still=None),
        policy=context.policy if options.judge is not None else None,
    )
    return replace(packed, opened=_opened_late(context.stores.open(store).bundle(packed.path), packed.package))


def _opened_late(bundle: Bundle, package_id: str) -> TagFiles:
    """The tag files of a package that another machine has just written: a share may show a new folder seconds later."""
    for pause in _PAUSES:
        try:
            return open_tag_files(bundle, expected_id=package_id)
        except PackageError:
            time.sleep(pause)
    return open_tag_files(bundle, expected_id=package_id)


def package_in(context: Context, bundle: Bundle, outcome: Outcome, *, opened: TagFiles | None, proven: bool) -> Package:
    """A package that has just come into a store or an adopted folder, with what came of it."""
    return Package(
        bundle,
        opened=opened,
        proven=proven,
        readers=context.tools.readers,
        extractor=context.tools.extractor,
        outcome=outcome,
    )


def first_folder(context: Context) -> Path | None:
    """The folder of the first store that is one."""
    for store in context.settings.stores:
        if (folder := local_path(store.url)) is not None:
            return folder
    return None
