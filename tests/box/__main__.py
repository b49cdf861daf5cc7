"""`python3 -m box COMMAND`: the cluster in a box, for a person."""

from __future__ import annotations

import sys

from box.commands import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
