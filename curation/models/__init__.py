"""Language models as curation needs them: point at one, load it, let it answer, score text with it."""
