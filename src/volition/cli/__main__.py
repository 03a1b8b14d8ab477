"""`python -m volition.cli`: the same as `volition`."""

import sys

from volition.cli.main import main

sys.exit(main())
