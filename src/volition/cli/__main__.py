"""`python -m volition.cli`: the same as `volition`."""

import sys

from volition.cli.program import main

sys.exit(main())
