"""The map of the rooms says what the code does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: Import Linter and Grimp, which only the extra `dev` has.
pytestmark = pytest.mark.development
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


def test_an_import_against_the_direction_is_an_error(tmp_path: Path) -> None:
    """As anybody runs it: a check that looks at nothing ends well, too."""
    for name, text in {"__init__": "", "above": "", "below": "import rooms.above\n"}.items():
        (tmp_path / "rooms").mkdir(exist_ok=True)
        (tmp_path / "rooms" / f"{name}.py").write_text(text)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_package = "rooms"\n[[tool.importlinter.contracts]]\nname = "One direction"\n'
        'type = "layers"\nlayers = ["rooms.above", "rooms.below"]\n'
    )
    command = [sys.executable, str(ROOT / "tasks.py"), "layers"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "BROKEN" in done.stdout
    (tmp_path / "rooms" / "below.py").write_text("")
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
