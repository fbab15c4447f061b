"""`python -m espressivo`."""

import sys

from espressivo.cli import main

sys.exit(main())
