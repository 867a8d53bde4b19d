"""The times of TriVista's ``.tvf`` files.

The files have two times, that of the file and that of the record, which may be years apart (linescan.tvf). Both are
stated, the file's first; where they contradict each other the core says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.times import moments

_TIMES = ("XmlMain/DateTime", "Document/RecordTime")
#: .NET's invariant culture, whatever the language of the system: 06/27/2022, 09/29/2016 and 06/14/2022 in the files.
_FORMATS = ("%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S.%f")


def times(tree: Tree) -> Iterator[Found]:
    """The file's time and the record's, both local."""
    for key in _TIMES:
        raw = str(look_up(tree, key) or "")
        for form in _FORMATS:
            try:
                local = dt.datetime.strptime(raw, form)  # noqa: DTZ007 - the file states no offset
            except ValueError:
                continue
            yield from moments("time.acquired_start", key, raw, local=local)
            break
