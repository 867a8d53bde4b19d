"""The samples of a node, as they are looked up; also in a store that is read from another PC."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from diadem.model.display import DisplayList, Rows
from diadem.model.sample_custody import Whereabouts, followed, history
from diadem.model.sample_relations import KnownSamples, same_thing
from diadem.model.samples import Sample
from diadem.model.table_changes import WrittenTable
from diadem.node.context import Context
from diadem.node.samples.sample_naming import find_samples, the_sample
from diadem.node.samples.sample_story import SampleStory, tell


@dataclass(frozen=True, slots=True)
class SampleReading(DisplayList):
    """What can be asked of samples.

    Parameters
    ----------
    context : Context
        The node.
    """

    _display_name = "samples"

    context: Context

    def __iter__(self) -> Iterator[Sample]:
        """Each sample, by its identifier."""
        return iter(self.ls())

    def ls(self) -> list[Sample]:
        """Each sample, by its identifier."""
        return Rows(self.context.catalogue.samples())

    def whereabouts(self) -> dict[str, Whereabouts]:
        """Where each sample is, by its id, as far as anybody said."""
        known = KnownSamples({sample.id: sample for sample in self.ls()})
        return {one: where_now(known.several(same_thing(known, one))) for one in known.samples}

    def export(self, path: str | os.PathLike[str], *, replace: bool = False) -> WrittenTable:
        """Write all samples as a sheet that people edit and `import_` reads.

        Parameters
        ----------
        path : path
            ``.xlsx`` or ``.csv``.
        replace : bool
            Replace the file if it exists; somebody may have edited it.

        Raises
        ------
        UsageError
            There is such a file already, or its ending is another one.
        """
        from diadem.node.samples.sample_sheet import write_samples

        return write_samples(self.context.catalogue, self.whereabouts(), Path(path), replace=replace)

    def find(self, name: str) -> list[Sample]:
        """The samples that a name may mean: two where two labs use one name for different things.

        Raises
        ------
        NotFound
            None is called so.
        """
        return find_samples(self.context.catalogue, name)

    def get(self, name: str) -> SampleStory:
        """One sample with its relatives, what happened to it, and every dataset of it and its parts.

        Parameters
        ----------
        name : str
            Its identifier, its id, or a name that another lab uses.

        Raises
        ------
        NotFound, UsageError
            None is called so, or several are.
        """
        return tell(self.context.catalogue, the_sample(self.context.catalogue, name))

    def show(self, name: str) -> list[SampleStory]:
        """The same for every sample that the name may mean.

        Raises
        ------
        NotFound
            None is called so.
        """
        return [tell(self.context.catalogue, sample) for sample in self.find(name)]


def where_now(thing: Iterable[Sample]) -> Whereabouts:
    """Where one thing is, from all that was said of it under any name."""
    return followed(history(thing))[0]
