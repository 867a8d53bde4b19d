"""pynxtools' validator against the definition NXem, as a program.

It takes lines, each a JSON list of paths of files, and answers each with a line: what it finds in every file, by path.
"""

from __future__ import annotations

import json
import logging
import os
import sys

import h5py
from pynxtools.dataconverter import helpers, validation


def problems(path: str) -> list[str]:
    """What is wrong with the entries of a file; that there are none is wrong, too."""
    found: list[str] = []
    with h5py.File(path) as file:
        names = [name for name, group in file.items() if group.attrs.get("NX_class") == "NXentry"]
        for name in names:
            helpers.collector.clear()
            if not validation.validate_hdf_group_against("NXem", file[name], path):
                found += sorted(helpers.collector.get())
    return found if names else ["there is no entry"]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    # What the validator prints itself is no answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps({path: problems(path) for path in json.loads(line)}), file=answers, flush=True)
