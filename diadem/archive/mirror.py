"""Where a reader finds the files of a dataset by their stored names, when they are not copied into a bag."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from diadem.archive.plan import PackPlan
from diadem.extract.survey import DatasetPlan

#: Bytes of a dataset whose names were mapped, above which it is not copied for its reader.
_MAX_MIRRORED = 256 << 20


class Mirror:
    """The folder under which a dataset's files lie by their stored names: the source itself, or copies of small ones.

    A reader goes by names and by what lies beside a file, so files whose names were mapped are shown to it under
    their stored names in a scratch folder. Of larger ones it is shown nothing: they are archived unread.
    """

    def __init__(self, plan: PackPlan, scratch: Path) -> None:
        self._plan = plan
        self._scratch = scratch

    def __call__(self, dataset: DatasetPlan) -> Path:
        """The folder for one dataset."""
        roots = {self._root_of(file.path) for file in dataset.files}
        if len(roots) == 1 and None not in roots:
            return Path(str(roots.pop()))
        folder = self._scratch / dataset.id
        folder.mkdir()
        if sum(file.size for file in dataset.files) > _MAX_MIRRORED:
            return folder
        for file in dataset.files:
            target = folder / file.path
            with contextlib.suppress(OSError):  # what its reader does not find is an issue of the dataset
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self._plan.files[file.path].path, target)
        return folder

    def _root_of(self, stored: str) -> str | None:
        """What is left of the file's path without its stored path, or None where the two differ."""
        path = Path(self._plan.files[stored].path).as_posix()
        return path[: -len(stored) - 1] if path.endswith("/" + stored) else None
