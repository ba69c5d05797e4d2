"""Which question to put to people next, when answers are few: active learning of a reward head on fixed features.

Features go in, ids come out; nothing here knows a model, a form or a server.
"""

from curation.labeling.acquisition.curve import Point, has_stopped, measure
from curation.labeling.acquisition.pool import Record, Verdicts, points_of
from curation.labeling.acquisition.strategies import STRATEGIES, Belief, Strategy, by_hash, choose

__all__ = [
    "STRATEGIES",
    "Belief",
    "Point",
    "Record",
    "Strategy",
    "Verdicts",
    "by_hash",
    "choose",
    "has_stopped",
    "measure",
    "points_of",
]
