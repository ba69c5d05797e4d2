"""What operators share that add, remove or split messages: they take a chat as a whole, never a part of a row."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from curation.operator import Operator


class WholeChats(Operator):
    """An operator that refuses `on`: the prompt that two answers share cannot change for one of them."""

    takes_on: ClassVar[bool] = False

    @model_validator(mode="after")
    def _no_part(self) -> Self:
        if self.on is not None:
            raise PydanticCustomError("on", "{op} works on whole chats and takes no `on`", {"op": self.op})
        return self
