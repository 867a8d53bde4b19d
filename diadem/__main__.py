"""`diadem` and `python -m diadem`: the door to the command line, open to Ctrl-C from the first moment."""

import gc
import os
import sys

#: Code of a command that was stopped, and seconds after which it is gone, whatever its threads still wait for.
_INTERRUPTED, _PATIENCE = 6, 20.0


def main() -> None:
    """Run the command line."""
    gc.disable()  # what is imported stays: to look for cycles in it takes a tenth of a small command
    try:
        from diadem.cli.main import run

        gc.freeze()
        gc.enable()
        run()
    except SystemExit as leaving:
        if leaving.code == _INTERRUPTED:
            _leave_soon()
        raise
    except KeyboardInterrupt:
        print("diadem: stopped", file=sys.stderr, flush=True)
        # An interruption that came through exec(), as in an import of a dataclass, is raised anew by sys.exit.
        os._exit(_INTERRUPTED)


def _leave_soon() -> None:
    """Whoever has pressed Ctrl-C waits for no thread that was stopped in the middle and waits for another one."""
    import threading

    timer = threading.Timer(_PATIENCE, os._exit, (_INTERRUPTED,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main()
