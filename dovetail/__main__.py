"""`python -m dovetail`: the command line."""

from __future__ import annotations

from dovetail.cli import main

if __name__ == "__main__":
    main()
