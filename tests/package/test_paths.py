"""Which paths a bag may name."""

from __future__ import annotations

import pytest

from diadem.model.names import unsafe


@pytest.mark.parametrize(
    "path",
    [
        *["", "/", "/etc/passwd", "//server/share", "..", "data/..", "data/../../x", "./x", "data//x", "data/"],
        *["~", "~root/x", "C:\\x", "c:x", "C:/x", "\\\\?\\UNC\\server\\x", "data\\x", "data/a\0"],
        *["%HomeDrive%/x", "%HOMEPATH%\\x", "$HOME/x", "${HOME}/x", "x/" * 5000 + "x"],
        *["data/CON", "data/aux.tif", "data/com1", "data/LPT9.txt", "data/nul /x", "con:"],
    ],
)
def test_paths_that_may_leave_the_bag_are_refused(path: str) -> None:
    assert unsafe(path)


@pytest.mark.parametrize(
    "path",
    ["bagit.txt", "data/x", "data/~x", "data/a b/ä.tif", "data/.hidden", "data/..x", "data/x..", "data/console.log",
     "data/null", "data/%7Edir/x", "data/12:30.txt", "data/$HOME/x", "data/a%b"],
)  # fmt: skip
def test_ordinary_paths_are_not(path: str) -> None:
    assert unsafe(path) is None
