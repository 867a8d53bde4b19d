"""The samples of a node: defined, linked, split, sent and received; each step is a statement that a user signs."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from diadem.custody import statements
from diadem.errors import NotFound, UsageError
from diadem.model.display import DisplayList, Rows
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar
from diadem.model.sample_custody import AT, Whereabouts, followed, history
from diadem.model.sample_relations import KnownSamples, same_thing
from diadem.model.samples import (
    CHANGED,
    CONSUMED,
    DEFINED,
    LINKED,
    LOST,
    MADE,
    RECEIVED,
    RETRACTED,
    SENT,
    UNLINKED,
    OtherName,
    Sample,
    new_id,
)
from diadem.model.statements import Draft
from diadem.model.table_changes import TableChanges, WrittenTable
from diadem.node.context import Context
from diadem.node.follow.follow import follow_samples
from diadem.node.samples.naming import find_samples, require_free, the_sample
from diadem.node.samples.statements import SampleWords, event_meant, members_of, tidied
from diadem.node.samples.story import SampleStory, story_of

Day = datetime.date | str


@dataclass(frozen=True, slots=True)
class SampleVerbs(DisplayList):
    """The samples of a node: `node.samples`. A node that is only read answers what is asked, and states nothing."""

    _display_name = "samples"

    context: Context

    # -- what can be asked -----------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Sample]:
        """Each sample, by its identifier."""
        return iter(self.ls())

    def ls(self) -> list[Sample]:
        """Each sample, by its identifier."""
        return Rows(self.context.catalogue.samples())

    def whereabouts(self) -> dict[str, Whereabouts]:
        """Where each sample is, by its id, as far as anybody said."""
        known = KnownSamples({sample.id: sample for sample in self.ls()})
        return {one: _where_now(known.several(same_thing(known, one))) for one in known.samples}

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
        from diadem.node.samples.sheet import write_samples

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
        return story_of(self.context.catalogue, the_sample(self.context.catalogue, name))

    def show(self, name: str) -> list[SampleStory]:
        """The same for every sample that the name may mean.

        Raises
        ------
        NotFound
            None is called so.
        """
        return [story_of(self.context.catalogue, sample) for sample in self.find(name)]

    # -- what it is ------------------------------------------------------------------------------------------------

    def add(self, identifier: str, *, made: Day | None = None, **said: Unpack[SampleWords]) -> Sample:
        """Define a sample.

        Parameters
        ----------
        identifier : str
            What the node calls it, unique on it: ``S-12``.
        made : date or str, optional
            The day on which it was made; that this happened is stated too.
        **said
            What else is known, see `SampleWords`.

        Raises
        ------
        UsageError
            The identifier is taken, or a parent is not known.
        """
        with self._writing():
            place = {"to": said["lab"]} if said.get("lab") else {}
            happened = None if made is None else {"date": self._day(made), **place}
            return self._add([identifier], said, made=happened)[0]

    def split(
        self, sample: str, *parts: str, how: str = "split", made: Day | None = None, comment: str = ""
    ) -> list[Sample]:
        """Define parts that are made from a sample: pieces, a lamella.

        Parameters
        ----------
        sample : str
            What they are made from.
        *parts : str
            Identifiers of the parts.
        how : {"split", "lamella", "annealed", "mixed", "other"}
            How they are made.
        made : date or str, optional
            The day on which they were made, where the whole is; that this happened is stated too.
        comment : str
            In words, for each of them.

        Raises
        ------
        UsageError
            No part is named, or an identifier is taken.
        """
        if not parts:
            raise UsageError("no part was named", next=f"Example: diadem sample split {sample} {sample}-a {sample}-b")
        with self._writing():
            place = self._known_place(self._one(sample))
            happened = None if made is None else {"date": self._day(made), **({"to": place} if place else {})}
            return self._add(parts, {"parents": [sample], "how": how, "comment": comment}, made=happened)

    def change(self, sample: str, *, identifier: str | None = None, **said: Unpack[SampleWords]) -> Sample:
        """Change what is said of a sample; what was said before stays in the log.

        Parameters
        ----------
        sample : str
            Which one.
        identifier : str, optional
            Another identifier.
        **said
            What changes, see `SampleWords`.

        Raises
        ------
        UsageError
            Nothing is said, or the identifier is taken.
        """
        with self._writing():
            found = self._one(sample)
            members = members_of(said, self._one, found)
            if identifier is not None:
                require_free(self.context.catalogue, identifier, but=found.id)
                members["identifier"] = identifier
            if not members:
                raise UsageError("nothing was said", next="Example: diadem sample change S-12 --name 'ZnO nanorods'")
            if any(parent["sample"] == found.id for parent in members.get("parents", ())):
                raise UsageError(f"{found.identifier} cannot be made from itself", next="Name another parent.")
            self.context.say([self._draft(CHANGED, found.id, members)], as_user=True)
            return self._known(found.id)

    def import_(
        self,
        path: str | os.PathLike[str],
        *,
        dry_run: bool = False,
        shown: TableChanges | None = None,
        listener: Listener = progress_bar,
    ) -> TableChanges:
        """Import a sheet that `export` has written and somebody has edited, or one with samples that are new.

        Only what was edited says anything: cells that were not, columns and rows that are not there change nothing,
        and an emptied cell removes what was said. What the node has learnt since is never undone: where both have
        changed, that is a conflict, which is reported and not written.

        Parameters
        ----------
        path : path
            ``.xlsx`` or ``.csv``.
        dry_run : bool
            Say what would be written.
        shown : TableChanges, optional
            What a person has agreed to; anything else is refused.
        listener : Listener
            Told of progress.

        Returns
        -------
        TableChanges
            What was written. A run that is stopped can be repeated: what is known already is recognised.

        Raises
        ------
        NotFound
            There is no such file.
        DocumentError
            It is not a table; or, unless it is a dry run, something in it cannot be understood. Nothing was written.
        Refused
            The node has changed since `shown`.
        """
        from diadem.node.samples.sheet import SampleSheet

        return SampleSheet.run(self.context, Path(path), dry_run=dry_run, shown=shown, listener=listener)

    # -- which names mean one thing --------------------------------------------------------------------------------

    def link(self, sample: str, other: str, *, lab: str | None = None, reason: str) -> SampleStory:
        """State that two names mean the same sample.

        Parameters
        ----------
        sample : str
            A sample of this node.
        other : str
            Another one; or with `lab` what that lab calls the thing.
        lab : str, optional
            Which lab.
        reason : str
            Why you are sure; kept in the log.

        Raises
        ------
        UsageError
            They are linked already, or one and the same.
        """
        with self._writing():
            first, second = self._two(sample, other, lab)
            if _is_linked(first, second):
                raise UsageError(f"{first.identifier} and {other} are linked already", where=first.id)
            self.context.say([self._link_draft(LINKED, first, second, reason)], as_user=True)
        return story_of(self.context.catalogue, self._known(first.id))

    def unlink(self, sample: str, other: str, *, lab: str | None = None, reason: str) -> SampleStory:
        """Undo a link: both statements stay in the log.

        Raises
        ------
        NotFound
            There is no such link.
        """
        with self._writing():
            first, second = self._two(sample, other, lab)
            if not _is_linked(first, second):
                advice = f"See: diadem sample show {sample}"
                if second in first.names:
                    advice = f"It is among its names: diadem sample change {sample} --called @{lab}"
                raise NotFound(f"nobody has linked {first.identifier} with {second}", next=advice)
            self.context.say([self._link_draft(UNLINKED, first, second, reason)], as_user=True)
        return story_of(self.context.catalogue, self._known(first.id))

    # -- what happens to it ----------------------------------------------------------------------------------------

    def send(
        self, sample: str, to: str, *, from_: str | None = None, date: Day | None = None, comment: str = ""
    ) -> SampleStory:
        """State that the sample was sent to another place.

        Parameters
        ----------
        sample : str
            Which one.
        to : str
            Where it goes.
        from_ : str, optional
            Where it was; default where it, or what it was made from, is known to be, else this node.
        date : date or str, optional
            The day, default today.
        comment : str
            In words: a parcel number, by whom.
        """
        with self._writing():
            found = self._one(sample)
            here = self.context.settings.name
            start = from_ or self._known_place(found) or (here if to != here else "")
            return self._happened(found, SENT, date, {"from": start, "to": to, "comment": comment})

    def receive(
        self,
        sample: str,
        *,
        from_: str | None = None,
        at: str | None = None,
        date: Day | None = None,
        comment: str = "",
    ) -> SampleStory:
        """State that the sample has arrived.

        Parameters
        ----------
        sample : str
            Which one.
        from_ : str, optional
            Who had sent it.
        at : str, optional
            Where it is now; default this node.
        date : date or str, optional
            The day, default today.
        comment : str
            In words: in which state it came.
        """
        with self._writing():
            place = at or self.context.settings.name
            said = {"from": from_ or "", "to": place, "comment": comment}
            return self._happened(self._one(sample), RECEIVED, date, said)

    def consume(self, sample: str, *, date: Day | None = None, comment: str = "") -> SampleStory:
        """Mark the sample as used up: dissolved, milled away, cut into its parts."""
        with self._writing():
            return self._happened(self._one(sample), CONSUMED, date, {"comment": comment})

    def lose(self, sample: str, *, date: Day | None = None, comment: str = "") -> SampleStory:
        """Mark the sample as lost."""
        with self._writing():
            return self._happened(self._one(sample), LOST, date, {"comment": comment})

    def retract(self, sample: str, event: str, *, reason: str, date: Day | None = None) -> SampleStory:
        """Retract an event of the sample that was stated by mistake.

        Both statements stay in the log, and the story tells both; place and state are found without it.

        Parameters
        ----------
        sample : str
            Which one.
        event : str
            ``made``, ``sent``, ``received``, ``consumed`` or ``lost``; or the beginning of the statement's id.
        reason : str
            What was wrong; kept in the log.
        date : date or str, optional
            The day of the event, where there are several.

        Raises
        ------
        NotFound
            Nobody has stated it, or it was retracted already.
        Refused
            Somebody else has stated it: only they can retract it.
        UsageError
            Several events are meant.
        """
        with self._writing():
            found = self._one(sample)
            same = self.context.catalogue.family(found.id).same
            follow_samples(self.context.catalogue, same)  # an earlier version kept no ids of the statements
            events = history(self.context.catalogue.samples(same))
            day = "" if date is None else self._day(date)
            meant = event_meant(found, events, event, date=day, by=self.context.address)
            self.context.say(
                [self._draft(RETRACTED, meant.sample, {"retracts": meant.statement, "reason": reason})], as_user=True
            )
            return story_of(self.context.catalogue, self._known(found.id))

    # -- saying ----------------------------------------------------------------------------------------------------

    def _writing(self) -> AbstractContextManager[None]:
        """One writer at a time: what is said rests on what was said before."""
        self.context.require_writable()
        return self.context.locked("samples")

    def _one(self, name: str) -> Sample:
        return the_sample(self.context.catalogue, name)

    def _known(self, sample_id: str) -> Sample:
        return self.context.catalogue.samples([sample_id])[0]

    def _add(
        self, identifiers: Sequence[str], said: SampleWords, *, made: Mapping[str, str] | None = None
    ) -> list[Sample]:
        members = {key: value for key, value in members_of(said, self._one).items() if value}
        drafts = []
        for number, identifier in enumerate(identifiers):
            require_free(self.context.catalogue, identifier, among=identifiers[:number])
            drafts.append(self._draft(DEFINED, new_id(), {"identifier": identifier, **members}))
        ids = [draft.subjects[0].name for draft in drafts]
        drafts += [self._draft(MADE, one, made) for one in ids if made is not None]
        self.context.say(drafts, as_user=True)
        return [self._known(one) for one in ids]

    def _two(self, sample: str, other: str, lab: str | None) -> tuple[Sample, Sample | OtherName]:
        first = self._one(sample)
        if lab is not None:
            return first, OtherName(other.strip(), lab.strip())
        second = self._one(other)
        if second.id == first.id:
            raise UsageError(f"'{sample}' and '{other}' are one sample already", next="Name another one, or a --lab.")
        return first, second

    def _link_draft(self, what: str, first: Sample, second: Sample | OtherName, reason: str) -> Draft:
        if isinstance(second, OtherName):
            return self._draft(what, first.id, {"other": {"name": second.name, "lab": second.lab}, "reason": reason})
        return self._draft(what, first.id, {"reason": reason}, second.id)

    def _happened(self, sample: Sample, what: str, date: Day | None, said: Mapping[str, str]) -> SampleStory:
        words = {key: text for key, text in said.items() if text}
        self.context.say([self._draft(what, sample.id, {"date": self._day(date), **words})], as_user=True)
        return story_of(self.context.catalogue, self._known(sample.id))

    def _known_place(self, sample: Sample) -> str:
        """Where the thing is known to be, else what it was made from; "" where nobody has said."""
        catalogue = self.context.catalogue
        family = catalogue.family(sample.id)
        for thing in (family.same, *((one,) for one in family.ancestors)):
            where = _where_now(catalogue.samples(thing))
            if where.state == AT and where.place:
                return where.place
        return ""

    def _day(self, day: Day | None) -> str:
        """The day as text; a day that the calendar does not have is refused."""
        if day is None:
            return self.context.clock().astimezone().date().isoformat()
        if isinstance(day, datetime.date):
            return day.strftime("%Y-%m-%d")
        try:
            return datetime.date.fromisoformat(day).isoformat()
        except ValueError:
            raise UsageError(f"'{day}' is not a date", next="Write the year first: 2026-03-14") from None

    def _draft(self, what: str, sample_id: str, said: Mapping[str, Any], *more: str) -> Draft:
        return statements.sample((sample_id, *more), what, tidied(said), by=self.context.address)


def _is_linked(first: Sample, second: Sample | OtherName) -> bool:
    key = second if isinstance(second, OtherName) else second.id
    return any(link.key == key for link in first.links)


def _where_now(thing: Iterable[Sample]) -> Whereabouts:
    """Where one thing is, from all that was said of it under any name."""
    return followed(history(thing))[0]
