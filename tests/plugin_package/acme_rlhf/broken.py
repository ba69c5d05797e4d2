"""A module that does not import: it may hurt those who use it, and nobody else."""

import a_module_that_nobody_has  # noqa: F401
