"""How tools are taught, and how calls and results are written (docs/tools.md, Scheme).

The scheme is Cherry Studio's prompt mode, which is known to pass the site untouched; another one is another object.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from app.core.tools.definitions import Tool, ToolUse

_NOISE = frozenset({"$schema", "$id", "title", "examples", "$comment"})
_TAGS = re.compile(  # blanks twice in a row would be shared out in every way
    r"(?:<|＜|&lt;)(?=\s*(?:[/／]\s*)?(?:tool_use|tool_call|function\s*=|/function|result\s*(?:>|＞|&gt;)))",
    re.IGNORECASE,
)
_NAMED = frozenset({"properties", "$defs", "definitions", "patternProperties"})

_TEACHING = """\
# Tools

You can call the tools listed below. They are run for you, and you are then told their results. To call a tool, write \
exactly this, outside of any code block:

<tool_use>
<name>the tool's name</name>
<arguments>one JSON object</arguments>
</tool_use>

- Use a tool's exact name, and arguments that fit its JSON Schema.
- Tools that do not depend on each other's results are called in one answer, one block after the other.
- End your answer after the calls. Never write a result yourself: results come to you as <tool_use_result>.
- Call a tool only if it helps; otherwise answer in words.

<tools>
{tools}
</tools>"""


class Scheme(Protocol):
    """A text form for calls and results that a model is taught."""

    def teach(self, tools: Sequence[Tool]) -> str:
        """Return the instructions that offer tools; they depend on the tools alone, so that they are said once."""
        ...

    def ask(self, use: ToolUse) -> str:
        """Return what this one request asks of the tools, "" for nothing special."""
        ...

    def write_call(self, name: str, arguments: str) -> str:
        """Write a call; `arguments` is JSON text."""
        ...

    def write_result(self, name: str, text: str) -> str:
        """Write a tool's result."""
        ...


class CherryScheme:
    """`<tool_use>` blocks with a name and JSON arguments."""

    def teach(self, tools: Sequence[Tool]) -> str:
        """Return the instructions that offer tools."""
        return _TEACHING.format(tools="\n".join(map(_offer, tools)))

    def ask(self, use: ToolUse) -> str:
        """Return what this one request asks of the tools."""
        if use.mode == "none":
            return "(Answer this in words, without calling a tool.)"
        asked = []
        if use.only is not None:
            asked.append(f"Call the tool {use.only} now.")
        elif use.mode == "required":
            asked.append("Call at least one tool now.")
        if not use.parallel:
            asked.append("Call at most one tool.")
        return f"({' '.join(asked)})" if asked else ""

    def write_call(self, name: str, arguments: str) -> str:
        """Write a call; no text in the arguments can end its block early."""
        safe = (arguments.strip() or "{}").replace("</", "<\\/")
        return f"<tool_use>\n<name>{name}</name>\n<arguments>{safe}</arguments>\n</tool_use>"

    def write_result(self, name: str, text: str) -> str:
        """Write a tool's result; no text in it can end its block, or become a call where the model repeats it."""
        safe = _TAGS.sub("‹", text)
        return f"<tool_use_result>\n<name>{name}</name>\n<result>{safe}</result>\n</tool_use_result>"


SCHEME: Scheme = CherryScheme()


def _offer(tool: Tool) -> str:
    schema = compact(tool.parameters) if tool.parameters else {"type": "object", "properties": {}}
    lines = ["<tool>", f"<name>{tool.name}</name>"]
    if tool.description:
        lines.append(f"<description>{tool.description.strip()}</description>")
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return "\n".join([*lines, f"<arguments>{text}</arguments>", "</tool>"])


def compact(schema: Any) -> Any:
    """Return a schema without what says nothing about a value: titles, examples, ids and the like."""
    if isinstance(schema, Mapping):
        return {
            key: {name: compact(part) for name, part in value.items()}
            if key in _NAMED and isinstance(value, Mapping)
            else value
            if key in {"enum", "const", "default", "required"}
            else compact(value)
            for key, value in schema.items()
            if key not in _NOISE
        }
    if isinstance(schema, list):
        return [compact(part) for part in schema]
    return schema
