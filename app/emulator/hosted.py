"""The site's own tools, as they show in an answer (docs/upstream-protocol.md, Hosted tools).

Searching and picture tools are as recorded; of `code_interpreter` and `web_extractor` only the names are known, so they
are made like the others.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from app.emulator.faults import Disturbance

ToolName = Literal[
    "web_search", "image_search", "code_interpreter", "web_extractor", "image_gen_tool", "image_edit_tool"
]
TOOLS: tuple[ToolName, ...] = get_args(ToolName)
DISTURBING: dict[Disturbance, ToolName] = {
    Disturbance.WEB_SEARCH: "web_search",
    Disturbance.IMAGE_SEARCH: "image_search",
    Disturbance.CODE_INTERPRETER: "code_interpreter",
    Disturbance.WEB_EXTRACTOR: "web_extractor",
    Disturbance.IMAGE_GEN_TOOL: "image_gen_tool",
    Disturbance.IMAGE_EDIT_TOOL: "image_edit_tool",
}
_PAINTERS = ("image_gen_tool", "image_edit_tool")
_WISH = re.compile(
    r"\b(?:search|look)\b(?: (?:the )?(?:web|internet|net)| online)? (?:for|up)\b|搜索|上网查|查一下", re.IGNORECASE
)
_TOPIC_CHARS = 60
_ENDS = " .?!\u3002\uff1f\uff01"


@dataclass(frozen=True, slots=True)
class Tool:
    """One call of a hosted tool. What is None the emulator makes up.

    `docs` are what a search finds, `used_id` is the first number that it leaves free (marks of the next one begin
    there), `output` is what a tool says that finds nothing.
    """

    name: ToolName
    arguments: dict[str, Any] | None = None
    docs: list[dict[str, Any]] | None = None
    used_id: int | None = None
    output: str = "done"

    @property
    def position(self) -> str:
        """Where the page shows it."""
        return "answer" if self.name in _PAINTERS else "think"

    def asked(self, text: str) -> str:
        """Write its arguments as JSON."""
        made_up: dict[ToolName, dict[str, Any]] = {
            "web_search": {"queries": [topic(text)]},
            "image_search": {"bbox": [0, 0, 1000, 1000], "img_idx": 0},
            "code_interpreter": {"code": "print(6 * 7)"},
            "web_extractor": {"urls": ["https://example.org/1"]},
            "image_gen_tool": {"prompt": topic(text)},
            "image_edit_tool": {"prompt": topic(text)},
        }
        return json.dumps(made_up[self.name] if self.arguments is None else self.arguments, ensure_ascii=False)

    def result(self, function_id: str, text: str, before: int, original: str, shown: str) -> dict[str, Any]:
        """Write the delta of its result; `before` documents were found in this answer before.

        `original` and `shown` are the two addresses of a picture.
        """
        extra: dict[str, Any] = {"function_id": function_id.rpartition("_")[2]}
        if self.name != "web_search":
            extra["display_position"] = self.position
        if self.name == "web_search":
            docs = self.found(text)
            used = before + len(docs) + 1 if self.used_id is None else self.used_id
            extra["tool_result"] = {"docs": docs, "used_id": used, "tool_call_metrics": {}, "tool_observation": ""}
            extra["web_search_info"] = docs
        elif self.name == "image_search":
            extra["search_result"] = [
                {"title": "A picture", "image_url": "https://example.org/1.png", "url": "https://example.org/1"}
            ]
        elif self.name in _PAINTERS:
            extra["tool_result"], extra["image_list"] = [{"image": original}], [{"image": shown}]
        else:
            extra["tool_result"] = {"tool_observation": self.output}
        return {
            "role": "function",
            "content": "",
            "phase": self.name,
            "status": "finished",
            "name": self.name,
            "function_id": function_id,
            "extra": extra,
        }

    def found(self, text: str) -> list[dict[str, Any]]:
        """Return the documents of a search."""
        return documents(topic(text)) if self.docs is None else self.docs


def result_of_2025(docs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write a search as the site of 2025 did: the documents alone, without a call."""
    return {
        "role": "function",
        "content": "",
        "phase": "web_search",
        "status": "finished",
        "name": "web_search",
        "extra": {"web_search_info": list(docs)},
    }


def wants_search(text: str) -> bool:
    """Say whether a text asks for a search."""
    return _WISH.search(text) is not None


def topic(text: str) -> str:
    """Return what a text is about, as a search would be told."""
    wish = _WISH.search(text)
    return " ".join((text[wish.end() :] if wish else text).split())[:_TOPIC_CHARS].rstrip(_ENDS).lstrip()


def documents(about: str) -> list[dict[str, Any]]:
    """Make up what a search finds."""
    return [
        {
            "url": f"https://example.org/{number}",
            "title": f"{name} page about {about}",
            "snippet": f"The emulator made this up: {about}.",
            "hostname": "example.org",
            "hostlogo": "https://example.org/favicon.ico",
            "date": f"2026-11-0{number}",
        }
        for number, name in ((1, "First"), (2, "Second"), (3, "Third"))
    ]


def answer(text: str) -> str:
    """Answer from a search of one's own, with marks for its documents."""
    about = topic(text)
    said = "; ".join(f"{doc['title']} [[{number + 1}]]" for number, doc in enumerate(documents(about)))
    return f"I searched for {about!r}, and the emulator made these up: {said}."
