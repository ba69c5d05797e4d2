"""Steps that show how a run treats steps: one adds numbers, others wait, fail, crash, hang or fill the disk."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from curation.artifact import Evaluation, InputFile, Kind, Ref
from curation.errors import UserError
from curation.ledger import Entry, Ledger
from curation.settings import ONE_OR_MORE
from rlhf.recipe.step import Done, Room, Step, Waiting


class Toy(Step):
    def makes(self) -> type[Kind]:
        return Evaluation


class Add(Toy):
    """The sum of its inputs and `plus`, rounded down to a multiple of `grain`."""

    not_identity: ClassVar[frozenset[str]] = frozenset({"require", "trace"})

    step: Literal["add"] = "add"
    data: Annotated[list[Ref[Evaluation]], ONE_OR_MORE] = []
    plus: int = 0
    grain: int = 1
    file: InputFile | None = None
    require: str | None = None
    trace: str | None = None
    """A file that gets a line each time the step really runs."""

    def run(self, room: Room) -> Done:
        if self.trace:
            with Path(self.trace).open("a") as f:
                f.write(f"{room.name}\n")
        values = [json.loads((ref.folder / "n.json").read_text()) for ref in self.data]
        values.append(int(self.file.text()) if self.file else 0)
        total = (sum(values) + self.plus) // self.grain * self.grain
        (room.out / "n.json").write_text(json.dumps(total))
        return Done(metrics={"n": total})


class Counted(Toy):
    """Counts to 5 in its work folder, one at a time, and can be killed in between."""

    step: Literal["counted"] = "counted"
    kill_at: int | None = None
    """The count at which the process kills itself, once."""

    def run(self, room: Room) -> Done:
        state = room.work / "count"
        count = int(state.read_text()) if state.exists() else 0
        while count < 5:
            count += 1
            state.write_text(str(count))
            if count == self.kill_at and not (room.work / "killed").exists():
                (room.work / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        (room.out / "n.json").write_text(str(count))
        return Done(metrics={"n": count})


class AskPeople(Toy):
    step: Literal["ask"] = "ask"
    form: str

    def run(self, room: Room) -> Done | Waiting:
        if not Path(self.form).exists():
            return Waiting("0 of 1 answered", self.form)
        (room.out / "n.json").write_text(Path(self.form).read_text())
        return Done(decided_by="people")


class Break(Toy):
    step: Literal["break"] = "break"
    how: Literal["user", "bug", "disk", "ledger", "hang"]

    def run(self, room: Room) -> Done:
        (room.out / "half").write_text("half")
        if self.how == "user":
            raise UserError("the rows are wrong", where="rows.jsonl, record 3", hint="mend record 3")
        if self.how == "disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.how == "hang":
            print("going to hang", flush=True)
            time.sleep(600)
        if self.how == "ledger":
            return Done(ledger=Ledger(entries=[Entry(operator="turns", made=3, kept=1, dropped={"one_turn": 1})]))
        return Done(metrics={"x": 1 // 0})
