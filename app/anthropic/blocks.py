"""The content of a message as it comes: an answer in blocks, each step told as an event of Anthropic's stream."""

from collections.abc import Callable
from typing import Any

import msgspec

from app.anthropic.shapes import Block, TextBlock, ThinkingBlock, ToolUseBlock, WebCitation
from app.core.events import AnswerEvent, CallArguments, CallStarted, Citations, ReasoningDelta, TextDelta

_NO_INPUT = msgspec.Raw(b"{}")
Tell = Callable[[str, dict[str, Any]], None]
"""Is told of a step: the event's name, and its fields."""


class AnswerBlocks:
    """Puts the events of an answer into blocks; only the last of `content` may be open."""

    def __init__(self, tell: Tell, *, shows_thinking: bool) -> None:
        self.content: list[Block] = []
        self._tell = tell
        self._shows_thinking = shows_thinking
        self._open: Block | None = None
        self._said: list[str] = []  # by the open block
        self._blank = ""  # what was said between blocks: no block by itself, which the API refuses
        self._length = 0  # characters of the answer's text so far, which its citations count
        self._texts: list[tuple[int, int, TextBlock]] = []  # where they begin in that, and in `content`

    def take(self, event: AnswerEvent) -> None:
        """Take what comes next. A picture is shown by the text, as Markdown; this API has no other form for it."""
        if isinstance(event, TextDelta):
            self._say(event.text)
        elif isinstance(event, ReasoningDelta):
            if self._shows_thinking:
                self._think(event.text)
        elif isinstance(event, CallStarted):
            self._begin(ToolUseBlock(event.id, event.name, _NO_INPUT))
        elif isinstance(event, CallArguments):
            self._delta("input_json_delta", "partial_json", event.text)
        elif isinstance(event, Citations):
            self._cite(event)

    def close(self) -> None:
        """End the open block, if there is one."""
        block, said = self._open, "".join(self._said)
        if block is None:
            return
        if isinstance(block, TextBlock):
            block.text = said
        elif isinstance(block, ThinkingBlock):
            block.thinking = said
            self._step("content_block_delta", {"delta": {"type": "signature_delta", "signature": ""}})
        else:
            block.input = msgspec.Raw(said.encode()) if said else _NO_INPUT
        self._step("content_block_stop", {})
        self._open = None

    def _say(self, text: str) -> None:
        begin = self._length - len(self._blank)
        self._length += len(text)
        if not isinstance(self._open, TextBlock):
            text, self._blank = self._blank + text, ""
            if not text.strip():
                self._blank = text
                return
            block = TextBlock("")
            self._texts.append((begin, len(self.content), block))
            self._begin(block)
        self._delta("text_delta", "text", text)

    def _think(self, text: str) -> None:
        if not isinstance(self._open, ThinkingBlock):
            self._begin(ThinkingBlock("", ""))
        self._delta("thinking_delta", "thinking", text)

    def _cite(self, citations: Citations) -> None:
        """Cite in the block that holds the place; of one that ended before, a stream can tell nothing any more."""
        for cited in citations.cited:
            held = [text for text in self._texts if text[0] <= cited.start]
            if not held:
                continue  # only a text cites
            _, index, block = held[-1]
            citation = WebCitation(cited.url, cited.title, "", "")
            block.citations = [*(block.citations or ()), citation]
            if block is self._open:
                delta = {"type": "citations_delta", "citation": citation}
                self._tell("content_block_delta", {"index": index, "delta": delta})

    def _begin(self, block: Block) -> None:
        self.close()
        self._open, self._said = block, []
        self.content.append(block)
        self._step("content_block_start", {"content_block": block})

    def _delta(self, kind: str, field: str, text: str) -> None:
        self._said.append(text)
        self._step("content_block_delta", {"delta": {"type": kind, field: text}})

    def _step(self, name: str, fields: dict[str, Any]) -> None:
        self._tell(name, {"index": len(self.content) - 1, **fields})
