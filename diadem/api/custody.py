"""Checking custody without a node."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diadem.node.custody.report import CustodyReport

StrPath = str | os.PathLike[str]


def verify_custody(
    *files: StrPath, pins: Collection[str] | None = None, checkpoints: Sequence[StrPath] = ()
) -> CustodyReport:
    """Check ``chain.json`` files offline: who gave what to whom, and what of it is proven.

    Parameters
    ----------
    *files : path
        What `diadem custody ID --export` wrote, from any node; several are compared with each other.
    pins : collection of str, optional
        Ids of the nodes that you trust. Without them everything is proven relative to the node ids that the report
        names: compare those with what the nodes' people tell you.
    checkpoints : sequence of path
        Checkpoints that you kept from earlier: a rewritten log is caught by them.

    Returns
    -------
    CustodyReport
        Each step is *proved*, *claimed by one side*, *missing* or *contradicted*.

    Raises
    ------
    NotFound
        A file is not there.
    """
    from diadem.node.custody_verbs import verify_custody_files

    return verify_custody_files(
        [Path(file) for file in files], pins=pins, checkpoints=[Path(file) for file in checkpoints]
    )
