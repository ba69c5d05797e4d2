"""Names of people, as a language model for them sees names: presidio, on a spaCy pipeline that the recipe names.

Unlike all else that `pii` looks for, a name has no check digit: the pipeline guesses by the words around it, misses
some and takes other words for names. So nothing is looked for unless the recipe asks, and the pipeline is known by its
content like any model. Presidio knows many more kinds; those are found here by their checks, without a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from curation.errors import UserError, first_line
from curation.operators.pii_spans import Found

_INSTALL = "pip install 'rlhf-curation[names]'"


def names(folder: Path) -> Callable[[str], Iterator[Found]]:
    """The finder of names of people by the pipeline in a folder.

    Raises:
        UserError: presidio is not installed, or the folder holds no spaCy pipeline.
    """
    _analyzer(folder)
    return partial(_find, folder)  # which can go to another process, and is read there anew


def _find(folder: Path, text: str) -> Iterator[Found]:
    analyzer, language = _analyzer(folder)
    for seen in sorted(analyzer.analyze(text, language, entities=["PERSON"]), key=lambda s: int(s.start)):
        yield Found(seen.start, seen.end, "name", " ".join(text[seen.start : seen.end].casefold().split()))


@cache
def _analyzer(folder: Path) -> tuple[Any, str]:
    """(presidio over one pipeline, its language)."""
    try:
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
        from presidio_analyzer.predefined_recognizers import SpacyRecognizer
    except ImportError as error:
        raise UserError("names of people are found by the package presidio-analyzer", hint=_INSTALL) from error
    place = _pipeline(folder)
    language = _language(place)
    engine = SpacyNlpEngine(models=[{"lang_code": language, "model_name": str(place)}])
    try:
        engine.load()
    except (OSError, ValueError, ImportError, AttributeError) as error:
        hint = "a pipeline for another version of spaCy cannot be read; install the one that goes with yours"
        raise UserError(f"the spaCy pipeline {place.name} cannot be loaded: {first_line(error)}", hint=hint) from error
    registry = RecognizerRegistry(
        recognizers=[SpacyRecognizer(supported_language=language)], supported_languages=[language]
    )
    return AnalyzerEngine(nlp_engine=engine, registry=registry, supported_languages=[language]), language


def _pipeline(folder: Path) -> Path:
    """The folder with the pipeline's settings: that one, or the one inside an installed package of spaCy's."""
    found = [path.parent for path in (folder / "config.cfg", *sorted(folder.glob("*/config.cfg"))) if path.is_file()]
    if not found:
        hint = "name the folder that `nlp.to_disk` wrote, or an installed pipeline: `package:en_core_web_sm/`"
        raise UserError(f"{folder} holds no spaCy pipeline (config.cfg)", hint=hint)
    return found[0]


def _language(place: Path) -> str:
    import json

    try:
        said = json.loads((place / "meta.json").read_text(encoding="utf-8"))
        return str(said["lang"])
    except (OSError, ValueError, KeyError) as error:
        hint = "is the folder whole? `nlp.to_disk` writes meta.json too"
        raise UserError(f"the spaCy pipeline {place} does not say its language", hint=hint) from error
