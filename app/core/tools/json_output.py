"""`response_format`: an answer that is JSON and nothing else (docs/tools.md, JSON answers)."""

import json
import re
from collections.abc import Mapping
from typing import Any

from json_repair import repair_json
from msgspec import Struct

from app.core.tools.checking import written
from app.core.tools.json_text import breaks_off, strict
from app.core.tools.schemas import schema_problems, usable
from app.core.tools.scheme import compact

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)


class JsonFormat(Struct, frozen=True):
    """What the answer must be: any JSON object, or one that fits a schema."""

    schema: Mapping[str, Any] | None = None
    name: str = ""

    def teach(self) -> str:
        """Return the instruction for the model."""
        if self.schema is None:
            return "Answer with one JSON object and nothing else: no code block, no words before or after it."
        schema = json.dumps(compact(self.schema), ensure_ascii=False, separators=(",", ":"))
        return (
            "Answer with one JSON value that fits this JSON Schema, and nothing else: no code block, no words before "
            f"or after it.\n{schema}"
        )

    def read(self, text: str) -> tuple[str | None, tuple[str, ...]]:
        """Return the JSON that an answer holds, and what is wrong with it; no problems means that it fits."""
        value = find_json(text)
        if value is None:
            return None, ("The answer holds no whole JSON.",)
        said = written(value)
        if said is None:
            return None, ("The answer holds numbers or characters that JSON cannot say.",)
        if self.schema is None:
            return said, () if isinstance(value, dict) else ("The answer is not a JSON object.",)
        return said, tuple(schema_problems(value, usable(self.schema, "the answer"), "the answer"))


def find_json(text: str) -> Any:
    """Return the JSON value of an answer, out of prose or a code block; None if there is none.

    It is mended if need be, but not where it breaks off: nobody knows how it would have gone on.
    """
    text = text.strip()
    for candidate in (text, *(found.strip() for found in _FENCE.findall(text))):
        if (value := strict(candidate)) is not None:
            return value
    begin = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if begin < 0 or breaks_off(text[begin:]):
        return None
    end = max(text.rfind("}"), text.rfind("]"))
    body = text[begin : end + 1] if end > begin else text[begin:]
    if (value := strict(body)) is not None:
        return value
    try:
        value = repair_json(body, return_objects=True)
    except (ValueError, RecursionError):  # nested too deeply
        return None
    return value if isinstance(value, dict | list) and value else None
