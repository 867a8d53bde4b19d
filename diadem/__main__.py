"""`diadem` and `python -m diadem`: the door to the command line, open to Ctrl-C from the first moment."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from diadem.cli.main import run

        run()
    except KeyboardInterrupt:
        print("diadem: stopped", file=sys.stderr)
        sys.exit(6)


if __name__ == "__main__":
    main()
