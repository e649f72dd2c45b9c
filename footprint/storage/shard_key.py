"""Key of a shard: the host or the service whose rows of a day are stored together."""

from __future__ import annotations

from typing import Literal, NamedTuple, cast


class ShardKey(NamedTuple):
    """Kind and name of the host or service of a shard; ``text`` is the stored form."""

    kind: Literal["host", "service"]
    name: str

    @property
    def text(self) -> str:
        """The stored form, "host NAME" or "service NAME"."""
        return f"{self.kind} {self.name}"

    @classmethod
    def parse(cls, text: str) -> ShardKey:
        """The key of a stored form."""
        kind, _, name = text.partition(" ")
        return cls(cast(Literal["host", "service"], kind), name)
