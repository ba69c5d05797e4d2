"""What several people say together about the same items.

Everybody's answer to an item is a ranking of its answers: `(1, 2)` prefers the first of two, `(1, 1)` is a tie, and
`(2, 1, 1, 4)` are four answers of which the second and third share the first place. What they say together is a ranking
again. Two ways look at each item by itself: `majority` and `ranked_pairs`. Two ask in the same breath how far each
person can be relied on, and let that count: `dawid_skene` for choices, `bradley_terry` for anything that is a duel of
two answers. All of them read the votes as they are, so that another way costs no new label.
"""

from curation.labeling.consensus.methods import METHODS, Method, Reliability, agreed, used
from curation.labeling.consensus.ranks import Ranks, Said, dense

__all__ = ["METHODS", "Method", "Ranks", "Reliability", "Said", "agreed", "dense", "used"]
