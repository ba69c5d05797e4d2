"""`killed_synthesis.py URL STORE SEEDS CONCURRENCY`: makes twelve instructions, until somebody kills it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

if __name__ == "__main__":
    from chat_server import ChatServer
    from synthesis_room import file, room

    from rlhf.steps.self_instruct import SelfInstruct

    url, store, seeds, concurrency = sys.argv[1:]
    here = room(Path(store), ChatServer(url), concurrency=int(concurrency))
    SelfInstruct(seeds=file(Path(seeds)), num_instructions=12, endpoint_model="gpt", demonstrations=2).run(here)
