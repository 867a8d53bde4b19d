"""From the files of a session to as few folders as hold exactly them."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from diadem.pack.plan import STAR


class Cover:
    """Who owns the folders of one root.

    Parameters
    ----------
    owners : mapping of str to int
        Every file, relative to the root, and its session.
    closed : sequence of str
        Folders that are in no session: packages and stores. No folder that holds one can be taken whole.
    """

    def __init__(self, owners: Mapping[str, int], closed: Sequence[str]) -> None:
        self._below: dict[str, int | None] = {}
        self._direct: dict[str, int | None] = {}
        for path, owner in owners.items():
            folder = path.rpartition("/")[0]
            if self._direct.setdefault(folder, owner) != owner:
                self._direct[folder] = None
            self._mark(folder, owner)
        for path in closed:
            self._mark(path, None)

    def _mark(self, folder: str, owner: int | None) -> None:
        """Note an owner of a folder and of all above it; None where there are several."""
        while True:
            known = self._below.get(folder, -1)
            if known in (owner, None):  # and so it is for all above
                return
            self._below[folder] = owner if known == -1 else None
            if not folder:
                return
            folder = folder.rpartition("/")[0]

    def pieces(self, files: Iterable[str], top: str = "") -> list[str]:
        """What holds exactly these files of one session.

        Parameters
        ----------
        files : iterable of str
            All files of one owner.
        top : str
            A folder that holds them all; none above it is named.

        Returns
        -------
        list of str
            Sorted: ``folder/`` with all that is below (``/`` alone is the root), ``folder/*`` for the files directly in
            it, or a file; one that is called ``*`` is written ``[*]``.
        """
        by_folder: dict[str, list[str]] = defaultdict(list)
        for path in files:
            by_folder[path.rpartition("/")[0]].append(path)
        pieces: set[str] = set()
        for folder, inside in by_folder.items():
            if self._below[folder] is not None:
                pieces.add(self._highest(folder, top) + "/")
            elif self._direct[folder] is not None:
                pieces.add(f"{folder}/{STAR}".lstrip("/"))
            else:
                pieces.update(f"{path[:-1]}[*]" if path.rpartition("/")[2] == STAR else path for path in inside)
        return sorted(pieces)

    def _highest(self, folder: str, top: str) -> str:
        """The highest folder up to `top` that has the same single owner."""
        while folder not in ("", top) and self._below[parent := folder.rpartition("/")[0]] is not None:
            folder = parent
        return folder


def placed(root: str, pieces: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The folder that holds all pieces, absolute, and the pieces relative to it; none where it is that folder whole."""
    if len(pieces) == 1 and pieces[0].endswith("/"):
        return _join(root, pieces[0].rstrip("/")), ()
    parents = [piece.rstrip("/").rpartition("/")[0] for piece in pieces]
    base = "/".join(_shared([parent.split("/") for parent in parents]))
    skip = len(base) + 1 if base else 0
    return _join(root, base), tuple(piece[skip:] for piece in pieces)


def _shared(paths: Sequence[list[str]]) -> list[str]:
    """The parts with which all paths begin."""
    return [level[0] for level in itertools.takewhile(lambda level: len(set(level)) == 1, zip(*paths, strict=False))]


def _join(root: str, path: str) -> str:
    return str(os.path.normpath(f"{root}/{path}")) if path else root
