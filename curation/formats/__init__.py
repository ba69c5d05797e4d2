"""Formats: one file each, from a raw record to rows."""

from __future__ import annotations

from curation.formats.fields import Refused
from curation.formats.format import Format, Lost, Makes, Outcome

BUILTIN: dict[str, str] = {
    "alpaca": "curation.formats.alpaca:Alpaca",
    "auto": "curation.formats.auto:Auto",
    "completion": "curation.formats.completion:PromptCompletion",
    "hh": "curation.formats.hh:HH",
    "kto": "curation.formats.kto:KTO",
    "messages": "curation.formats.messages:Messages",
    "oasst": "curation.formats.oasst:OASST",
    "preference": "curation.formats.preference:PreferencePair",
    "prompt": "curation.formats.completion:Prompts",
    "ratings": "curation.formats.ratings:Ratings",
    "sharegpt": "curation.formats.sharegpt:ShareGPT",
    "transcript": "curation.formats.transcript:Transcript",
}
"""Name in recipes -> class."""

__all__ = ["BUILTIN", "Format", "Lost", "Makes", "Outcome", "Refused"]
