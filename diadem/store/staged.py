"""A look at what was staged, before it is published."""

from __future__ import annotations

from diadem.errors import IntegrityError, PackageError, StoreError
from diadem.model.ids import PackageId
from diadem.package.examine import TagFiles, open_tag_files
from diadem.store.bundle import LocalBundle
from diadem.store.stage import Stage


def read_staged(stage: Stage, package: PackageId, url: str) -> TagFiles:
    """What a sealed stage says of itself: what cannot be opened is not published.

    Parameters
    ----------
    stage : Stage
        Sealed.
    package : PackageId
        What was written there.
    url : str
        The store, for the error.

    Raises
    ------
    StoreError
        The disk gives back other tag files than were written; the source is not to blame.
    """
    try:
        return open_tag_files(LocalBundle(stage.bag), expected_id=package)
    except (IntegrityError, PackageError) as error:
        raise StoreError(
            f"the store returns different bytes than were written: {error.message}; nothing was archived",
            where=f"{url}: {error.where}",
            next="Check the disk; choose another store.",
        ) from error
