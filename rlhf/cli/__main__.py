"""`python -m rlhf.cli`, for where the command is not on the path."""

import sys

from rlhf.cli import main

sys.exit(main())
