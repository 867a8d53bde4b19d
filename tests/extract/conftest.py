"""Readers of this folder are importable here and, as the search path is handed on, in workers."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
