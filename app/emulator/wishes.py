"""What the end of a message asks of its answer: a call, no call, JSON. A model is told it in these words."""

import json
import re
from dataclasses import dataclass
from typing import Any

from app.emulator.arguments import sample

_ON_TOOLS = re.compile(r"^\([^()\n]*\btools?\b[^()\n]*\)\s*\Z", re.MULTILINE)
_FORBIDDEN = re.compile(r"\bwithout (?:calling|using)\b", re.IGNORECASE)
_REQUIRED = re.compile(r"\bcall (?:at least one|the) tool\b", re.IGNORECASE)
_ON_JSON = re.compile(r"^Answer with one JSON\b[^\n]*(?:\n(?P<schema>[^\n]+))?\s*\Z", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked, without the notes on how: `plain`. `note` is the one on tools, "" if there is none."""

    plain: str
    note: str = ""
    wants_json: bool = False
    schema: Any = None

    @property
    def may_call(self) -> bool:
        """Whether a tool may be called."""
        return not _FORBIDDEN.search(self.note)

    @property
    def must_call(self) -> bool:
        """Whether a tool has to be called."""
        return _REQUIRED.search(self.note) is not None

    def written(self, said: str) -> str:
        """Write an answer in the form that is wanted: in JSON a sample that fits the schema, else what was said."""
        if not self.wants_json:
            return said
        if self.schema is None:
            return json.dumps({"answer": said}, ensure_ascii=False)
        return sample(self.schema, self.plain)


def wish_of(asked: str) -> Wish:
    """Read the notes at the end of a message."""
    on_json = _ON_JSON.search(asked)
    asked = asked[: on_json.start()].rstrip() if on_json else asked
    on_tools = _ON_TOOLS.search(asked)
    plain = asked[: on_tools.start()].rstrip() if on_tools else asked
    schema = _schema_in(on_json["schema"]) if on_json else None
    return Wish(plain, on_tools[0] if on_tools else "", on_json is not None, schema)


def _schema_in(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
