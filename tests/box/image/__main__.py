"""`python3 tests/box/image COMMAND`: the container images, for a person."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run as a folder, not as `-m box.image`
    sys.path[0] = str(Path(__file__).parents[2])

from box.image.commands import main

if __name__ == "__main__":
    sys.exit(main())
