"""The outputs of the notebooks: made by running their cells, and kept in them, so that a forge and the site show them.

``python -m tests.notebook.outputs`` runs those whose cells have changed since; with names or numbers, these (``05``).
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import nbclient
import nbformat
from PIL import Image

from diadem.testing.faults import remove

NOTEBOOKS: Final = sorted((Path(__file__).resolve().parent.parent.parent / "notebooks").glob("*.ipynb"))
#: Bytes of a picture: the repository stays small.
MOST_BYTES: Final = 100_000
#: Lines of an output that is text.
MOST_LINES: Final = 10
#: What eXSpy and pyxem import HyperSpy has moved, and eXSpy asks for widgets: theirs to mend.
_OTHERS: Final = "ignore:Importing `,ignore:IProgress not found"
_DISK: Final = re.compile(r"\bdisk:\w+")
_RANDOM: Final = re.compile(r"(?<=diadem-notebook)-[a-z0-9_]{8}\b")
_DATA: Final = re.compile(r"data:image/png;base64,([A-Za-z0-9+/]+=*)")


def digest(notebook: Any) -> str:
    """Of the code of a notebook: what its outputs depend on."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16]


def run(path: Path, place: Path) -> Any:
    """A notebook with the outputs of its cells, run by somebody whose home is in a new folder."""
    notebook = nbformat.read(path, as_version=4)
    home, temporary = place / "alice", place / "tmp"
    home.mkdir()
    temporary.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DIADEM_")},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONWARNINGS": _OTHERS,
        "DASK_LOGGING__DISTRIBUTED": "error",  # a busy machine is slow to end a cluster
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
    }
    client = nbclient.NotebookClient(
        notebook,
        timeout=400,
        kernel_name="python3",
        resources={"metadata": {"path": str(home)}},
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute(env=environment)
    return notebook


def kept(notebook: Any, place: Path) -> Any:
    """A notebook as it is kept: without what differs from machine to machine, its pictures small."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "diadem": {"outputs_of": digest(notebook)},
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [_kept(output, place) for output in cell.outputs if not _is_empty(output)]
            cell.metadata = {}
    return nbformat.from_dict(notebook)


def texts(output: Any) -> dict[str, str]:
    """What an output is, by kind: ``stdout``, ``stderr``, ``text/html`` …"""
    return {output.name: output.text} if output.output_type == "stream" else dict(output.get("data", {}))


def kind(output: Any) -> str:
    """What an output is, whatever it says."""
    return " ".join([output.output_type, *sorted(texts(output))])


def _is_empty(output: Any) -> bool:
    """What a progress bar leaves."""
    return output.output_type == "display_data" and not any(output.data.values())


def _kept(output: Any, place: Path) -> Any:
    if output.output_type == "stream":
        output.text = _at_home(output.text, place)
    for name, text in output.get("data", {}).items():
        if name == "image/png":
            output.data[name] = _small(text)
        elif isinstance(text, str):
            output.data[name] = _DATA.sub(lambda one: f"data:image/png;base64,{_small(one[1])}", _at_home(text, place))
    return output


def _at_home(text: str, place: Path) -> str:
    """A text as it would be on the machine of the documents."""
    text = text.replace(f"{place}/alice", "/home/alice").replace(f"{place}/tmp", "/tmp")
    return _DISK.sub("disk:nvme0n1", _RANDOM.sub("", text))


def _small(encoded: str) -> str:
    """A picture; with fewer colours, where it is large."""
    data = base64.b64decode(encoded)
    if len(data) < MOST_BYTES // 2:
        return encoded.strip()
    with Image.open(io.BytesIO(data)) as picture:
        shown = picture.convert("RGB")
    target = io.BytesIO()
    shown.quantize(128, Image.Quantize.MEDIANCUT).save(target, "PNG", optimize=True)
    return base64.b64encode(min(data, target.getvalue(), key=len)).decode()


def main(wanted: list[str]) -> None:
    """Run notebooks, and keep what comes out in them."""
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        made = notebook.metadata.get("diadem", {}).get("outputs_of")
        if not any(path.stem.startswith(name) for name in wanted) if wanted else made == digest(notebook):
            continue
        place = Path(tempfile.mkdtemp())
        try:
            nbformat.write(kept(run(path, place), place), path)
        finally:
            remove(place)
        sys.stdout.write(f"{path.name:40} {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
