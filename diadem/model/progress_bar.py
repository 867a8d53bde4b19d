"""The listener that public verbs have where none is given: a bar where a person works, nothing in a script."""

from __future__ import annotations

import sys
import threading
from typing import Any, Final

from diadem.model.ports import Progress

#: Seconds after which a bar appears: what is over sooner needs none.
_DELAY: Final = 0.5
_TITLE: Final = 24
#: Characters of a bar in a notebook.
_WIDTH: Final = 100


class ProgressBar:
    """Shows how far a long task is, as tqdm does: in a notebook, in IPython and at Python's prompt."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._stage = ""
        self._bar: Any = None
        self._watched: Any = None

    def __repr__(self) -> str:
        """For the signatures that it stands in."""
        return "<progress bar>"

    def __reduce__(self) -> str:
        """In another process it is that process's own."""
        return "progress_bar"

    def __call__(self, progress: Progress) -> None:
        """Draw what has changed. Called from any thread."""
        if not _somebody_looks():
            return
        with self._turn:
            if progress.stage != self._stage or self._bar is None or progress.done < self._bar.n:
                self._begin(progress)
            self._bar.total = progress.total or None
            self._bar.set_postfix_str(progress.item[-_TITLE:], refresh=False)
            self._bar.update(progress.done - self._bar.n)
            if 0 < progress.total <= progress.done:
                self._end()

    def close(self, *_: object) -> None:
        """Take the bar away: what was done is over, or has failed."""
        with self._turn:
            self._end()

    def _begin(self, progress: Progress) -> None:
        self._end()
        in_bytes, shell = progress.unit == "B", _shell()
        kind, options = _tqdm(shell)
        self._bar = kind(
            desc=progress.stage, total=progress.total or None, unit=progress.unit, unit_scale=in_bytes, delay=_DELAY,
            leave=False, **options,
        )  # fmt: skip
        self._stage = progress.stage
        if shell is not None and shell is not self._watched:  # a verb that fails says nothing more
            shell.events.register("post_run_cell", self.close)
            self._watched = shell

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar, self._stage = None, ""


def _shell() -> Any:
    """IPython's shell, where this is one: nothing is imported to find out."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


def _somebody_looks() -> bool:
    return _shell() is not None or hasattr(sys, "ps1")


def _tqdm(shell: Any) -> tuple[Any, dict[str, Any]]:
    """The widget in a notebook that has widgets, else a line of text; with the options of each."""
    from tqdm.std import tqdm

    if type(shell).__name__ != "ZMQInteractiveShell":
        return tqdm, {"dynamic_ncols": True}
    if "ipywidgets" in sys.modules:
        from tqdm.notebook import tqdm_notebook

        return tqdm_notebook, {}
    return tqdm, {"file": _Output(), "ncols": _WIDTH}


class _Output:
    """What a bar is written to in a notebook: an output that is replaced, and is empty in the end.

    As a stream each state of the bar would stay in the notebook's file.
    """

    def __init__(self) -> None:
        self._handle: Any = None

    def write(self, text: str) -> None:
        from IPython.display import display

        shown = {"text/plain": text.strip("\r\n ")}
        if self._handle is not None:
            self._handle.update(shown, raw=True)
        elif shown["text/plain"]:
            self._handle = display(shown, raw=True, display_id=True)

    def flush(self) -> None:
        """Each text is shown as it comes."""


#: The one that verbs have.
progress_bar: Final = ProgressBar()
