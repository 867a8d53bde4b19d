"""Packing a session into the first store that can take it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from diadem.archive.package import Package
from diadem.errors import DiademError, PackageError, StoreError, Unreachable
from diadem.model.manifest import PackageId
from diadem.model.ports import Bundle, Listener
from diadem.model.record import Record
from diadem.node.context import Context
from diadem.node.take.archived import Wishes
from diadem.node.workers import Workers
from diadem.pack.compose import Options
from diadem.pack.pack import Packed, pack
from diadem.pack.plan import PackPlan
from diadem.package.examine import TagFiles, open_tag_files
from diadem.policy.required import require_stated
from diadem.store.addresses import local_path

#: Seconds between looks for what another machine has written.
_PAUSES = (0.2, 0.5, 1.0, 3.0)


def pack_into_first(
    context: Context, plan: PackPlan, wishes: Wishes, predecessor: PackageId | None, listener: Listener
) -> tuple[str, str, Package]:
    """Pack into the first store that can take it; its name, the path in it, and the package."""
    options = options_for(context, wishes, predecessor)
    problems: dict[str, DiademError] = {}
    with context.tools.extractor() as extractor:
        if context.workers is None and any(dataset.offers for dataset in plan.datasets):
            extractor.warm()
        for name in candidates(context, wishes):
            try:
                store = context.stores.require_there(name)
            except Unreachable as error:
                problems[name] = error
                continue
            try:
                if context.workers is None:
                    packed = pack(plan, store, extractor=extractor, options=options, listener=listener)
                else:
                    packed = _pack_there(context, context.workers, name, plan, options)
                package = Package(
                    store.bundle(packed.path),
                    opened=packed.opened,
                    proven=packed.outcome.proven,
                    readers=context.tools.readers,
                    extractor=context.tools.extractor,
                    outcome=packed.outcome,
                )
            except (Unreachable, StoreError) as error:  # it is away, full or failing: the next one is not
                problems[name] = error
                continue
            return name, packed.path, package
    only = next(iter(problems.values())) if len(problems) == 1 else None
    if isinstance(only, StoreError):
        raise only
    reasons = "; ".join(f"{name}: {error.message}" for name, error in problems.items())
    raise Unreachable(
        f"no store can take the package: {reasons or 'the node has none'}",
        next="Connect a store, or add one: diadem store add PLACE",
    )


def _pack_there(context: Context, workers: Workers, store: str, plan: PackPlan, options: Options) -> Packed:
    """Have a worker pack, and open what it packed: the id is that of the tag files which this machine reads."""
    packed = workers.pack(
        store=context.settings.store(store),
        plan=plan,
        options=replace(options, judge=None, still=None, archived=options.archived or context.clock().astimezone()),
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


def options_for(context: Context, wishes: Wishes, predecessor: PackageId | None) -> Options:
    return Options(
        strict=wishes.strict,
        license=context.policy.archive.license,
        software=context.tools.software,
        continues=predecessor,
        judge=_judge(context),
        still=wishes.still,
        archived=context.clock().astimezone(),
    )


def _judge(context: Context) -> Callable[[Record], None] | None:
    """What looks at the finished record before anything is published: the metadata that the policy requires."""

    policy = context.policy
    return (lambda record: require_stated(policy, record)) if policy.metadata.required else None


def candidates(context: Context, wishes: Wishes) -> Iterator[str]:
    """Stores in the order in which they are tried: the wished for, folders, servers; cold ones last."""
    if wishes.store:
        yield context.settings.store(wishes.store).name
        return
    usable = [store for store in context.settings.stores if not store.retired]
    for store in sorted(usable, key=lambda store: (store.kind == "cold", local_path(store.url) is None)):
        yield store.name


def first_folder(context: Context) -> Path | None:
    """The folder of the first store that is one."""
    for store in context.settings.stores:
        if (folder := local_path(store.url)) is not None:
            return folder
    return None
