"""`uvicorn inside.app:app`: Argilla's own application, with our search engine and a queue of our own.

Plain labeling needs no queue; what Argilla wants one for (webhooks, changing how many answers a record needs) is worked
on by a thread of this process (`queue.py`), or by a worker of its own where a Redis is named (ARGILLA_REDIS_URL).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("ARGILLA_SEARCH_ENGINE", "embedded")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

if not os.environ.get("ARGILLA_REDIS_URL"):
    from .queue import provide

    provide(Path(os.environ["ARGILLA_HOME_PATH"]))

import argilla_server

from . import bulk, connections, indexes, savings
from .engine import database, texts
from .headers import Guarded
from .queue import Working
from .texts import catch_up

connections.use()
savings.use()
bulk.use()
indexes.prepare(database())
catch_up(texts(), database())

app: Any = Working(Guarded(argilla_server.app))
