"""The command line: ``fastlogreg``, also ``python -m fastlogreg``."""


def main() -> None:
    """Run the command line."""
    from fastlogreg.cli.app import main

    main()
