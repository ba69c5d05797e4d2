"""Language models behind a web address: any server that speaks OpenAI's chat completions, by the `openai` client.

Answers cost money or time, so none is asked for twice: each is kept in an `AnswerCache` under the hash of its request
the moment it arrives, and a run that was cut off finds it there. Spending is bounded before it happens: a request is
sent only while its worst case still fits what is left. Keys come from the environment and get into no error, log, cache
or hash.

Code that asks does not know servers: whoever runs it says which names are reachable (`with connected(...)`), and
`client("gpt-4.1-mini")` is the one behind that name.
"""

from __future__ import annotations

from curation.chat.client import MALFORMED_TRIES, RETRIES, Client
from curation.chat.connections import Connections, client, connected, note
from curation.chat.purse import BudgetReached, Purse, Usage
from curation.chat.request import AnswerCache, Endpoint, Reply, Request

__all__ = [
    "MALFORMED_TRIES",
    "RETRIES",
    "AnswerCache",
    "BudgetReached",
    "Client",
    "Connections",
    "Endpoint",
    "Purse",
    "Reply",
    "Request",
    "Usage",
    "client",
    "connected",
    "note",
]
