"""``python -m fastlogreg``."""

from fastlogreg.cli import main

if __name__ == "__main__":
    main()
