"""`python -m diadem`: the command line, where scripts are not on the path."""

from diadem.cli.main import run

if __name__ == "__main__":
    run()
