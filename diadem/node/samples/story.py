"""A sample as a node tells it: names, relatives, what happened to the thing, and every dataset that was made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diadem.catalogue import Catalogue
from diadem.catalogue.known_samples import TITLE, NameRow, SampleDataset
from diadem.catalogue.words import words
from diadem.model.display import Display
from diadem.model.report import Finding, Severity
from diadem.model.sample_custody import Whereabouts, followed, history
from diadem.model.sample_relations import Family, KnownSamples
from diadem.model.samples import Event, Link, Sample
from diadem.notebook.sample_picture import sample_html, sample_svg


@dataclass(frozen=True, slots=True, repr=False)
class SampleStory(Display):
    """A sample with all that belongs to it; a notebook shows it as a picture.

    Attributes
    ----------
    sample : Sample
        What it is.
    family : Family
        What is the same thing, what it was made from, what was made from it, by ids.
    relatives : mapping of str to Sample
        All of these by their ids, the sample itself among them.
    events : tuple of Event
        What happened to the thing, by whatever name, by days.
    where : Whereabouts
        Where it is now.
    findings : tuple of Finding
        What of this cannot be: two places at once, received and never sent, made from itself.
    shared : tuple of NameRow
        Names of it that other samples have too: a search for them finds both.
    datasets : tuple of SampleDataset
        Every dataset of the sample, of what is the same thing, and of its parts; the earliest first.
    """

    sample: Sample
    family: Family
    relatives: Mapping[str, Sample]
    events: tuple[Event, ...]
    where: Whereabouts
    findings: tuple[Finding, ...]
    shared: tuple[NameRow, ...]
    datasets: tuple[SampleDataset, ...]

    def __repr__(self) -> str:
        """In short: what it is, where it is, and how much there is of it."""
        return f"<SampleStory {self.sample.identifier}, {self.where}, {len(self.datasets)} datasets>"

    @property
    def id(self) -> str:
        """``sample:<uuid>``."""
        return self.sample.id

    @property
    def same(self) -> tuple[Sample, ...]:
        """Other samples of the node that are the same thing."""
        return self._known(one for one in self.family.same if one != self.sample.id)

    @property
    def ancestors(self) -> tuple[Sample, ...]:
        """What it was made from, the nearest first."""
        return self._known(self.family.ancestors)

    @property
    def parts(self) -> tuple[Sample, ...]:
        """What was made from it, the nearest first."""
        return self._known(self.family.parts)

    @property
    def links(self) -> tuple[Link, ...]:
        """Links of the thing, whichever of its names they were stated of; none twice."""
        links = [link for one in self._known(self.family.same) for link in one.links if link.sample != self.sample.id]
        return tuple({link.key: link for link in reversed(links)}.values())[::-1]

    def _known(self, ids: Iterable[str]) -> tuple[Sample, ...]:
        return tuple(KnownSamples(self.relatives).several(ids))

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: what `diadem sample show --json` prints."""
        return {
            **self.sample.to_dict(),
            "links": [link.to_dict() for link in self.links],
            "events": [event.to_dict() for event in self.events],
            "where": self.where.to_dict(),
            "same": [_relative(one) for one in self.same],
            "ancestors": [_relative(one) for one in self.ancestors],
            "parts": [_relative(one) for one in self.parts],
            "circular": self.family.circular,
            "findings": [finding.to_dict() for finding in self.findings],
            "shared_names": [{"name": row.text, "lab": row.lab, "sample": row.sample} for row in self.shared],
            "datasets": [dataset.to_dict() for dataset in self.datasets],
        }

    @property
    def svg(self) -> str:
        """Parents, parts, links and sessions as a picture, to be written into a file; a notebook shows the same."""
        return sample_svg(self.to_dict())

    def _repr_html_(self) -> str:
        """For notebooks: parents, parts, links and sessions as a picture."""
        return sample_html(self.to_dict())


def _relative(sample: Sample) -> dict[str, Any]:
    """A relative in short."""
    said = sample.said()
    kept = ("identifier", "name", "names", "parents")
    return {"id": sample.id, **{key: said[key] for key in kept if key in said}, "same": list(sample.linked)}


def story_of(catalogue: Catalogue, sample: Sample) -> SampleStory:
    """All that belongs to a sample."""
    family = catalogue.family(sample.id)
    relatives = {one.id: one for one in catalogue.samples(family.all())}
    events = history(KnownSamples(relatives).several(family.same))
    where, findings = followed(events)
    if family.circular:
        finding = Finding(
            Severity.WARNING,
            "made-from-itself",
            f"{sample.identifier} is said to be made from itself, by its links or its parents.",
            next='Undo the link that is wrong: diadem sample unlink SAMPLE OTHER --reason "..."',
        )
        findings = (*findings, finding)
    asked = {row.words for row in catalogue.names_of_samples(family.same) if row.kind != TITLE}
    sought = [row for row in catalogue.names_of_samples((*family.same, *family.parts)) if row.kind != TITLE]
    return SampleStory(
        sample,
        family,
        relatives,
        events,
        where,
        findings,
        tuple(row for row in catalogue.samples_named(asked) if row.kind != TITLE and row.sample not in family.same),
        tuple(_owned(sought, catalogue.datasets_naming([row.words for row in sought]))),
    )


def _owned(names: Sequence[NameRow], datasets: Iterable[SampleDataset]) -> Iterator[SampleDataset]:
    """The same datasets, each with the sample that it names, by the longest of the names that stand in its record."""
    owners: dict[tuple[str, ...], str] = {}
    for dataset in datasets:
        if dataset.named not in owners:
            texts = [f" {' '.join(words(one))} " for one in dataset.named]
            found = [row for row in names if any(f" {' '.join(row.words)} " in text for text in texts)]
            owners[dataset.named] = max(found, key=lambda row: len(row.words)).sample if found else ""
        yield replace(dataset, sample=owners[dataset.named])
