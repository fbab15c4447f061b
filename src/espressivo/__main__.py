"""`python -m espressivo`."""

import sys

from espressivo.cli.main import main

sys.exit(main())
