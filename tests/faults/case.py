"""One case: a seed, the node under test, what was done to it, and every promise that it broke."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import diadem
from diadem.errors import IntegrityError, NotFound
from diadem.model.replicas import DROPPED
from diadem.node.node import Node
from tests.faults.laboratory import STORES, Laboratory, Place
from tests.faults.sealed import Sealed, World, Wound, wounds

#: A copy: name of its store, id of its package.
Copy = tuple[str, str]


@dataclass
class Case:
    """What happens to one seed.

    Attributes
    ----------
    laboratory : Laboratory
        Where.
    seed : int
        Of everything random in it.
    chance : random.Random
        Made from the seed.
    place : Place
        The paths.
    sealed : dict of str to Sealed
        Every package that was sealed, by its id; grows where a case archives.
    history : list of str
        What was done, in order.
    problems : list of str
        Every promise that was broken.
    counts : Counter
        What happened how often: kinds of faults, and what became of damage.
    stores : tuple of str
        Names of the stores that the node has now.
    unsaid : set of str
        Packages that lie in a store, and whose archiving never ended.
    """

    laboratory: Laboratory
    seed: int
    chance: random.Random
    place: Place
    sealed: dict[str, Sealed]
    history: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    stores: tuple[str, ...] = STORES
    unsaid: set[str] = field(default_factory=set)
    _node: Node | None = None

    @classmethod
    def begin(cls, laboratory: Laboratory, seed: int) -> Case:
        """A fresh node and the chances of this seed."""
        place = laboratory.fresh()
        return cls(laboratory, seed, random.Random(seed), place, dict(laboratory.sealed))

    # -- what was done -------------------------------------------------------------------------------------------------

    def did(self, kind: str, text: str = "") -> None:
        """Note one thing that was done."""
        self.counts[kind] += 1
        self.history.append(f"{kind}: {text}" if text else kind)

    def broken(self, text: str) -> None:
        """Note a promise that was broken."""
        self.problems.append(text)

    def require(self, holds: object, text: str) -> None:
        """Note a promise that was broken unless it holds."""
        if not holds:
            self.broken(text)

    # -- the node ------------------------------------------------------------------------------------------------------

    @property
    def node(self) -> Node:
        """The node, opened as a person would after a failure: a damaged catalogue is built anew."""
        if self._node is None:
            try:
                self._node = diadem.open_node(self.place.node)
            except (IntegrityError, NotFound) as error:
                self.history.append(f"opened with a catalogue that is built anew: {error.message}")
                return self.rebuild()
        return self._node

    def rebuild(self) -> Node:
        """Open the node with a catalogue that is built anew."""
        self.close()
        self._node = node = diadem.open_node(self.place.node, rebuild=True)
        node.reindex()
        return node

    def close(self) -> None:
        """Close the node, if it is open."""
        if self._node is not None:
            node, self._node = self._node, None
            node.close()

    def abandon(self) -> None:
        """Let go of the node after an error, whatever state it is in."""
        with contextlib.suppress(Exception):
            self.close()

    def reopen(self) -> Node:
        """The node as another process finds it."""
        self.close()
        return self.node

    # -- what lies there -----------------------------------------------------------------------------------------------

    @property
    def packages(self) -> Sequence[Sealed]:
        """Every package, in the order of their paths."""
        return sorted(self.sealed.values(), key=lambda one: one.path)

    def world(self) -> World:
        """What lies in the stores now."""
        return self.place.world(self.stores)

    def paths(self) -> dict[Copy, str]:
        """Where the catalogue says that copies lie in the node's stores, those left aside that were given up."""
        states = self.node.context.catalogue.package_states()
        return {
            (replica.store, package.id): replica.path
            for package in states
            if not package.tombstoned
            for replica in package.replicas
            if replica.state != DROPPED and not replica.adopted and replica.store in self.stores
        }

    def states(self) -> dict[Copy, str]:
        """What the catalogue says of every copy."""
        return {
            (replica.store, package.id): replica.state
            for package in self.node.context.catalogue.package_states()
            for replica in package.replicas
        }

    def hurt(self, world: World) -> dict[Copy, list[Wound]]:
        """What is wrong with each copy, at the path at which the catalogue has it."""
        return {
            (store, package): wounds(self.sealed[package], world.get(store, {}).get(path))
            for (store, package), path in self.paths().items()
            if package in self.sealed
        }

    def outside(self) -> dict[str, bytes]:
        """Files beside the stores that must never be written: other names of damaged files, targets of links."""
        names = [*self.place.root.glob("twin-*"), *self.place.root.glob("elsewhere-*")]
        return {path.name: path.read_bytes() for path in names}

    def put_aside(self, name: str) -> None:
        """Move a store away: the disk is unplugged."""
        shutil.move(self.place.store(name), self.place.root / f"{name}-unplugged")

    def put_back(self, name: str) -> None:
        """Plug the disk in again."""
        shutil.move(self.place.root / f"{name}-unplugged", self.place.store(name))
