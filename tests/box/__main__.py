"""`python3 tests/box COMMAND`: the cluster in a box, for a person."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a folder, not as `-m box`
    sys.path[0] = str(Path(__file__).parents[1])

from box.commands import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
