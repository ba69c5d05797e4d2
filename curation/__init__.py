"""What good data is: formats, operators, the engine that runs them, and the ledger of every row.

This package knows nothing about recipes, stores or training; `curation.pipeline.curate` works on its own.
"""
