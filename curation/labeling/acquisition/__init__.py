"""Which question to put to people next, when answers are few: active learning of a reward head on fixed features.

Features go in, ids come out; nothing here knows a model, a form or a server. `strategies` chooses, `head` is what it
learns with, `pool` makes points of features, `curve` measures, `batches` keeps what was handed out. Here are the
strategies' names alone, so that a recipe is checked without numpy.
"""

from __future__ import annotations

from typing import Literal, get_args

Strategy = Literal["random", "margin", "disagreement", "d_optimal", "delta_ucb", "thompson"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
