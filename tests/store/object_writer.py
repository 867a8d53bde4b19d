"""A process of its own that uploads a sample, to be killed: `python -m tests.store.object_writer URL SEED BYTES`."""

from __future__ import annotations

import json
import sys

from diadem.store.claim import ClaimTiming
from diadem.store.objects import ObjectStore
from tests.store.object_samples import make_sample


def main(url: str, seed: str, size: str) -> None:
    """Say `ready` when the sending begins, and the outcome at the end."""
    sample = make_sample({**{f"data/{n:03}.tif": 3000 for n in range(60)}, "data/large.raw": int(size)}, seed=int(seed))
    _say("ready")
    done = sample.upload(ObjectStore(url, timing=ClaimTiming(look=0.1)))
    _say(json.dumps({"path": done.path, "created": done.created}))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
