"""The map of the rooms says what the code does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(sys.platform != "linux", reason="the way of a session has other files on other systems")
def test_the_map_is_drawn_from_the_code(tmp_path: Path) -> None:
    lines = [
        "from pathlib import Path",
        "from docs.site import architecture as drawn",
        f"Path({str(tmp_path)!r}, 'page').write_text(drawn.page(), 'utf-8')",
        f"Path({str(tmp_path)!r}, 'picture').write_text(drawn.picture(), 'utf-8')",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, check=True, timeout=120)
    for made, kept in (("page", "architecture.md"), ("picture", "pictures/architecture.svg")):
        now = (tmp_path / made).read_text("utf-8")
        assert now == (ROOT / "docs" / kept).read_text("utf-8"), "Run: python tasks.py map"
