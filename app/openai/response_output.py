"""The output of a response as it comes: an answer in items, each step told as an event of OpenAI's stream."""

from typing import Any

from app.core.events import (
    AnswerEvent,
    CallArguments,
    CallStarted,
    Citations,
    Picture,
    ReasoningDelta,
    TextDelta,
)
from app.openai.response_shapes import (
    ItemStatus,
    OutputCall,
    OutputImage,
    OutputItem,
    OutputMessage,
    OutputReasoning,
    OutputText,
    ResponseCitation,
    SummaryText,
)
from app.wire.frames import EventFrames
from app.wire.texts import Texts


class ResponseOutput:
    """Puts the events of an answer into items; only the last of `items` may be open."""

    def __init__(self, digits: str, frames: EventFrames | None) -> None:
        """`digits` are those of the response's id, of which the ids of its items are made.

        `frames` are told of each step; None for an answer that is written whole.
        """
        self.items: list[OutputItem] = []
        self._digits = digits
        self._frames = frames
        self._open: OutputItem | None = None
        self._said: list[str] = []  # by the open item
        self._texts: Texts[tuple[int, OutputMessage]] = Texts()  # with their places in `items`

    def take(self, event: AnswerEvent) -> None:
        """Take what comes next."""
        if isinstance(event, TextDelta):
            self._say(event.text)
        elif isinstance(event, ReasoningDelta):
            self._think(event.text)
        elif isinstance(event, CallStarted):
            self._begin(OutputCall(self._next_id("fc", event.index), "in_progress", event.id, event.name, ""))
        elif isinstance(event, CallArguments):
            self._delta("function_call_arguments.delta", event.text, {})
        elif isinstance(event, Picture):
            self._show(event)
        elif isinstance(event, Citations):
            self._cite(event)

    def close(self, status: ItemStatus = "completed") -> None:
        """End the open item, if there is one."""
        item = self._open
        if item is None:
            return
        self.settle(status)
        if isinstance(item, OutputMessage):
            part = item.content[0]
            self._step("output_text.done", {"content_index": 0, "text": part.text, "logprobs": []})
            self._step("content_part.done", {"content_index": 0, "part": part})
        elif isinstance(item, OutputReasoning):
            thought = item.summary[0]
            self._step("reasoning_summary_text.done", {"summary_index": 0, "text": thought.text})
            self._step("reasoning_summary_part.done", {"summary_index": 0, "part": thought})
        elif isinstance(item, OutputCall):
            self._step("function_call_arguments.done", {"name": item.name, "arguments": item.arguments})
        self._tell("output_item.done", {"output_index": len(self.items) - 1, "item": item})
        self._open = None

    def settle(self, status: ItemStatus) -> None:
        """Bring the open item up to date without telling of it."""
        item, said = self._open, "".join(self._said)
        if item is None:
            return
        item.status = status
        if isinstance(item, OutputMessage):
            item.content[0].text = said
        elif isinstance(item, OutputReasoning):
            item.summary[0].text = said
        elif isinstance(item, OutputCall):
            item.arguments = said

    def _say(self, text: str) -> None:
        is_open = isinstance(self._open, OutputMessage)
        said = self._texts.take(text, is_open=is_open)
        if not said:
            return
        if not is_open:
            message = OutputMessage(self._next_id("msg"), "in_progress", "assistant", [])
            self._texts.begin((len(self.items), message))
            self._begin(message)
            message.content.append(OutputText("", [], []))
            self._step("content_part.added", {"content_index": 0, "part": message.content[0]})
        self._delta("output_text.delta", said, {"content_index": 0, "logprobs": []})

    def _think(self, text: str) -> None:
        if not isinstance(self._open, OutputReasoning):
            reasoning = OutputReasoning(self._next_id("rs"), "in_progress", [])
            self._begin(reasoning)
            reasoning.summary.append(SummaryText(""))
            self._step("reasoning_summary_part.added", {"summary_index": 0, "part": reasoning.summary[0]})
        self._delta("reasoning_summary_text.delta", text, {"summary_index": 0})

    def _show(self, picture: Picture) -> None:
        """Show a picture whose data is there; the text names every one by its address."""
        head, is_data, data = picture.url.partition(";base64,")
        if is_data and head.startswith("data:"):
            self._begin(OutputImage(self._next_id("ig"), "in_progress", data))
            self.close()

    def _cite(self, citations: Citations) -> None:
        """Cite in the message that holds the place, also where a call or a picture followed it."""
        for cited in citations.cited:
            held = self._texts.at(cited.start)
            if held is None:
                continue  # only a text cites
            begin, (index, message) = held
            citation = ResponseCitation(cited.url, cited.title, cited.start - begin, cited.end - begin)
            annotations = message.content[0].annotations
            annotations.append(citation)
            self._tell(
                "output_text.annotation.added",
                {
                    "item_id": message.id,
                    "output_index": index,
                    "content_index": 0,
                    "annotation_index": len(annotations) - 1,
                    "annotation": citation,
                },
            )

    def _next_id(self, kind: str, number: int | None = None) -> str:
        """End the open item; return the id of the next one: its number among calls, or else among all items."""
        self.close()
        return f"{kind}_{self._digits}_{len(self.items) if number is None else number}"

    def _begin(self, item: OutputItem) -> None:
        self._open = item
        self._said = []
        self.items.append(item)
        self._tell("output_item.added", {"output_index": len(self.items) - 1, "item": item})

    def _delta(self, name: str, text: str, fields: dict[str, Any]) -> None:
        self._said.append(text)
        self._step(name, {**fields, "delta": text})

    def _step(self, name: str, fields: dict[str, Any]) -> None:
        item = self.items[-1]
        self._tell(name, {"item_id": item.id, "output_index": len(self.items) - 1, **fields})

    def _tell(self, name: str, fields: dict[str, Any]) -> None:
        if self._frames is not None:
            self._frames.add(f"response.{name}", fields)
