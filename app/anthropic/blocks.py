"""The content of a message as it comes: an answer in blocks, each step told as an event of Anthropic's stream."""

from typing import Any

import msgspec

from app.anthropic.shapes import Block, TextBlock, ThinkingBlock, ToolUseBlock, WebCitation
from app.core.events import AnswerEvent, CallArguments, CallStarted, Citations, ReasoningDelta, TextDelta
from app.wire.frames import EventFrames
from app.wire.texts import Texts

_NO_INPUT = msgspec.Raw(b"{}")


class AnswerBlocks:
    """Puts the events of an answer into blocks; only the last of `content` may be open."""

    def __init__(self, frames: EventFrames | None, *, shows_thinking: bool) -> None:
        """`frames` are told of each step; None for an answer that is written whole."""
        self.content: list[Block] = []
        self._frames = frames
        self._shows_thinking = shows_thinking
        self._open: Block | None = None
        self._said: list[str] = []  # by the open block
        self._texts: Texts[tuple[int, TextBlock]] = Texts()  # with their places in `content`

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
        is_open = isinstance(self._open, TextBlock)
        said = self._texts.take(text, is_open=is_open)
        if not said:
            return
        if not is_open:
            block = TextBlock("")
            self._texts.begin((len(self.content), block))
            self._begin(block)
        self._delta("text_delta", "text", said)

    def _think(self, text: str) -> None:
        if not isinstance(self._open, ThinkingBlock):
            self._begin(ThinkingBlock("", ""))
        self._delta("thinking_delta", "thinking", text)

    def _cite(self, citations: Citations) -> None:
        """Cite in the block that holds the place; of one that ended before, a stream can tell nothing any more."""
        for cited in citations.cited:
            held = self._texts.at(cited.start)
            if held is None:
                continue  # only a text cites
            _, (index, block) = held
            citation = WebCitation(cited.url, cited.title, "", "")
            block.citations = [*(block.citations or ()), citation]
            if block is self._open:
                self._tell("content_block_delta", index, {"delta": {"type": "citations_delta", "citation": citation}})

    def _begin(self, block: Block) -> None:
        self.close()
        self._open, self._said = block, []
        self.content.append(block)
        self._step("content_block_start", {"content_block": block})

    def _delta(self, kind: str, field: str, text: str) -> None:
        self._said.append(text)
        self._step("content_block_delta", {"delta": {"type": kind, field: text}})

    def _step(self, name: str, fields: dict[str, Any]) -> None:
        self._tell(name, len(self.content) - 1, fields)

    def _tell(self, name: str, index: int, fields: dict[str, Any]) -> None:
        if self._frames is not None:
            self._frames.add(name, {"index": index, **fields})
