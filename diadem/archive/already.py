"""Recognising what is archived already, before anything is copied or sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from diadem.archive.composing import Options, hash_only, refuse_if_strict
from diadem.archive.outcome import Outcome
from diadem.archive.package import Package
from diadem.archive.plan import PackPlan, omitted_dict
from diadem.model.ports import Bundle, Listener
from diadem.model.report import Level
from diadem.package.verify import verify
from diadem.store.copy import Copier


class Finder(Protocol):
    """What a store knows of the packages in it."""

    def knows_tree(self, tree: str) -> bool:
        """Whether some package has these paths and sizes."""

    def bundles(self, payload: str) -> Iterator[Bundle]:
        """Packages that hold a payload."""


@dataclass(frozen=True, slots=True)
class Soundness:
    """How a package that is there already is proven, before the user is told so and may delete the source.

    One that was read stays judged for the run: a damaged one of a terabyte is not read a second time.

    Attributes
    ----------
    level : Level
        ``leaves`` where reading back is cheap; ``quick`` (all objects in their sizes, tag files) where it is not.
    proof : str
        What is told of it: ``read-back`` or ``earlier``.
    """

    level: Level
    proof: str
    _judged: dict[str, bool] = field(default_factory=dict)

    def holds(self, bundle: Bundle) -> bool:
        """Whether the package is whole, as far as is looked."""
        if bundle.url not in self._judged:
            self._judged[bundle.url] = verify(bundle, level=self.level).ok
        return self._judged[bundle.url]


def already_there(
    plan: PackPlan, finder: Finder, soundness: Soundness, *, options: Options, copier: Copier, listener: Listener
) -> Outcome | None:
    """The package that a source is archived in, or None.

    A tree that looks like an archived one is hashed before anything is copied.

    Raises
    ------
    Refused
        With `strict`, where anything would be left out.
    """
    if not finder.knows_tree(plan.tree_digest):
        return None
    payload, omissions = hash_only(plan, copier, listener)
    refuse_if_strict(omissions, options)
    bundle = next((bundle for bundle in finder.bundles(payload) if soundness.holds(bundle)), None)
    if bundle is None:
        return None
    left_out = [omitted_dict(omission) for omission in omissions]
    return Outcome(Package(bundle), created=False, omissions=left_out, proof=soundness.proof)
