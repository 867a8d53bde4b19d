"""Packing a plan without a node or plugins of one's own."""

from __future__ import annotations

from diadem.api.tools import tools
from diadem.archive.package import Package
from diadem.extract.pool import Extractor
from diadem.model.ports import silent
from diadem.pack.compose import Options
from diadem.pack.pack import pack
from diadem.pack.plan import PackPlan
from diadem.store.contract import Store


def packed_into(store: Store, plan: PackPlan, extractor: Extractor, options: Options | None = None) -> Package:
    """The package of a plan in a store."""
    done = pack(plan, store, extractor=extractor, options=options or Options(), listener=silent)
    return Package(store.bundle(done.path), opened=done.opened, readers=tools().readers, outcome=done.outcome)
