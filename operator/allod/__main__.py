"""`python -m allod`: the same as the command `allod`."""

from __future__ import annotations

import sys

from allod.cli.main import main

sys.exit(main())
