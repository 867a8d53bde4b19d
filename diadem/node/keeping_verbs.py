"""What keeps packages: the verbs of a node that prove, mend, give up and look up anew. `diadem.Node` has them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from diadem.node.context import Context
    from diadem.node.keep.drop import Dropped
    from diadem.node.keep.scrub import Scrubbed
    from diadem.node.reindex import Reindexed
    from diadem.node.repair import Repaired

StrPath = str | os.PathLike[str]


class KeepingVerbs:
    """Scrub, repair, drop, delete, reindex."""

    context: Context

    def scrub(
        self,
        store: str | None = None,
        *,
        part: str = "1/1",
        level: str | None = None,
        due: bool = False,
        package: str | None = None,
        max_rate: float | None = None,
        executor: Executor | None = None,
        listener: Listener = progress_bar,
    ) -> Scrubbed:
        """Read copies whole and compare every byte with what was sealed.

        Parameters
        ----------
        store : str, optional
            One store; default all.
        part : str
            ``3/28``: the third of 28 parts of the packages.
        level : {"leaves", "full"}, optional
            Default: leaves where leaves and files are known to agree, else full.
        due : bool
            Only copies whose proof is older than nine tenths of what the policy allows.
        package : str, optional
            One package only.
        max_rate : float, optional
            Bytes per second, of all workers together.
        executor : concurrent.futures.Executor, optional
            Where to read, many copies at once; see `archive_all`.
        listener : Listener
            Told of progress.

        Raises
        ------
        NotFound, UsageError
            There is no such store or package; it is not a part, or no level.
        Unreachable, Refused
            A worker does not see a store, or has other versions, and nothing was read; or the executor broke.
        Interrupted
            On Ctrl-C; what was proven stays so, and the next run resumes.
        """
        from diadem.node.keep.scrub import scrub

        return scrub(
            self.context,
            store,
            part=part,
            level=level,
            due=due,
            package=package,
            max_rate=max_rate,
            executor=executor,
            listener=listener,
        )

    def repair(
        self,
        package: str | None = None,
        *,
        store: str | None = None,
        dry_run: bool = False,
        set_aside: bool = False,
        max_rate: float | None = None,
        listener: Listener = progress_bar,
    ) -> Repaired:
        """Mend damaged copies, write missing ones, make parity: as far as it can be done now.

        Parameters
        ----------
        package, store : str, optional
            One package, or the copies in one store; default everything.
        dry_run : bool
            Say what would be done.
        set_aside : bool
            Move files that do not belong to a package into the store's ``.diadem/quarantine``.
        max_rate : float, optional
            Bytes per second.
        listener : Listener
            Told of progress.

        Raises
        ------
        NotFound
            There is no such store or package.
        Interrupted
            On Ctrl-C; what was done is in the log, and the next run resumes.
        """
        from diadem.node.repair import repair

        return repair(
            self.context,
            package,
            store=store,
            dry_run=dry_run,
            set_aside=set_aside,
            max_rate=max_rate,
            listener=listener,
        )

    def drop(
        self,
        package: str,
        store: str,
        *,
        reason: str,
        below_minimum: bool = False,
        clock_is_right: bool = False,
        dry_run: bool = False,
        listener: Listener = progress_bar,
    ) -> Dropped:
        """Drop one copy, after reading the copies that remain whole.

        Parameters
        ----------
        package, store : str
            Which copy.
        reason : str
            Kept in the log.
        below_minimum : bool
            Once the retention is over: also where fewer copies remain than the policy wants. One proven copy stays.
        clock_is_right : bool
            As for `delete`.
        dry_run : bool
            Prove and decide, but remove nothing.
        listener : Listener
            Told of progress.

        Raises
        ------
        Refused
            Too few other copies are proven; or, with `below_minimum`, the retention is not over, or is over only by a
            clock that leaps past the log.
        """
        from diadem.node.keep.drop import drop

        found = self.context.catalogue.get(package).id
        return drop(
            self.context,
            found,
            store,
            reason=reason,
            below_minimum=below_minimum,
            clock_is_right=clock_is_right,
            dry_run=dry_run,
            listener=listener,
        )

    def delete(
        self,
        package: str,
        *,
        reason: str,
        lost: bool = False,
        clock_is_right: bool = False,
        dry_run: bool = False,
        listener: Listener = progress_bar,
    ) -> Dropped:
        """Delete a package from every store once its retention is over; a signed tombstone remains.

        Parameters
        ----------
        package : str
            Which one.
        reason : str
            Kept in the log.
        lost : bool
            Write it off, whatever its retention: no copy of it is left. Every store that answers is looked into first.
        clock_is_right : bool
            Say that time passed as the clock tells it, although the log was silent for more than a year.
        dry_run : bool
            Decide, but remove and state nothing.
        listener : Listener
            Told of the look into the stores.

        Raises
        ------
        Refused
            Its retention is not over, or is over only by a clock that leaps past the log; or a store that has a copy
            does not answer; with `lost`, a copy or something of
            it is there or may be there.
        """
        from diadem.node.keep.drop import delete, write_off

        found = self.context.catalogue.get(package).id
        if lost:
            return write_off(self.context, found, reason=reason, dry_run=dry_run, listener=listener)
        return delete(self.context, found, reason=reason, clock_is_right=clock_is_right, dry_run=dry_run)

    def reindex(
        self, *, executor: Executor | None = None, into: str | None = None, listener: Listener = progress_bar
    ) -> Reindexed:
        """Rebuild the catalogue from the stores and the log.

        Parameters
        ----------
        executor : concurrent.futures.Executor, optional
            Where packages are read: processes, or a Dask cluster whose workers see the stores at the same addresses.
        into : str, optional
            Build it in another place, and have it there from now on: ``file``, the one in the node's folder, or
            ``postgresql://user@host/database``. The former catalogue is removed.
        listener : Listener
            Told of progress.
        """
        from diadem.node.reindex import reindex

        return reindex(self.context, executor=executor, into=into, listener=listener)
