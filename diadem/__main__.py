"""`diadem` and `python -m diadem`: the door to the command line, open to Ctrl-C from the first moment."""

import os
import sys


def main() -> None:
    """Run the command line."""
    try:
        from diadem.cli.main import run

        run()
    except KeyboardInterrupt:
        print("diadem: stopped", file=sys.stderr, flush=True)
        # An interruption that came through exec(), as in an import of a dataclass, is raised anew by sys.exit.
        os._exit(6)


if __name__ == "__main__":
    main()
