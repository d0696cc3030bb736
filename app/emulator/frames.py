"""The site's stream, frame by frame, byte for byte as captured (docs/upstream-protocol.md, The stream)."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.emulator.usage import picture_usage

EVENT_END = b"\n\n"
STREAM_END = b"\n"  # the last event is followed by two empty lines


def data(event: Any) -> bytes:
    """Write one event; the site puts a blank after commas and colons. Half a surrogate pair becomes a `?`."""
    return b"data: " + json.dumps(event, ensure_ascii=False).encode(errors="replace") + EVENT_END


def comment(text: str) -> bytes:
    """Write a comment line."""
    return b": " + text.encode() + EVENT_END


@dataclass(frozen=True, slots=True)
class Frames:
    """Writes the frames of one answer; without `phases` (the request left out `output_schema`) no delta has one."""

    chat_id: str
    user_id: str
    response_id: str
    index: str | None
    phases: bool = True

    def created(self) -> bytes:
        """Open the answer; there is one blank after the event in captures."""
        event = {"chat_id": self.chat_id, "parent_id": self.user_id, "response_id": self.response_id}
        if self.index is not None:
            event["response_index"] = self.index
        compact = json.dumps({"response.created": event}, separators=(",", ":"))
        return b"data: " + compact.encode() + b" " + EVENT_END

    def text(self, content: str, usage: dict[str, Any] | None, *, phase: str = "answer") -> bytes:
        """Write a piece of the answer, or of raw thinking."""
        return self._delta({"role": "assistant", "content": content, "phase": phase, "status": "typing"}, usage)

    def summary(self, thoughts: Sequence[str], usage: dict[str, Any] | None) -> bytes:
        """Write the thinking so far: a snapshot of all thoughts of this segment."""
        extra = {
            "summary_title": {"content": [f"Step {number + 1}" for number in range(len(thoughts))]},
            "summary_thought": {"content": list(thoughts)},
        }
        delta = {"role": "assistant", "content": "", "phase": "thinking_summary", "extra": extra, "status": "typing"}
        return self._delta(delta, usage)

    def thought(self, phase: str) -> bytes:
        """End a segment of thinking; it carries no usage."""
        return self._delta({"role": "assistant", "content": "", "phase": phase, "status": "finished"}, None)

    def finished(self, phase: str = "answer") -> bytes:
        """End the answer; it carries neither usage nor time."""
        delta = {"content": "", "role": "assistant", "status": "finished", "phase": phase}
        return self._delta(delta, None, stamp=False)

    def picture(self, url: str, pixels: tuple[int, int], phase: str) -> bytes:
        """Write a picture that was made: its address is the content."""
        width, height = pixels
        extra = {"output_image_hw": [[height, width]]}
        delta = {"role": "assistant", "content": url, "phase": phase, "extra": extra, "status": "typing"}
        return self._delta(delta, picture_usage(pixels))

    def call(self, tool: str, function_id: str, arguments: str, position: str, usage: Any) -> list[bytes]:
        """Write the call of a hosted tool, whose arguments grow."""
        call = {"role": "assistant", "content": "", "phase": tool, "status": "typing"}
        rest = {"function_id": function_id, "extra": {"display_position": position}}
        ends = (0, len(arguments) // 2, len(arguments))
        return [
            self._delta({**call, "function_call": {"name": tool, "arguments": arguments[:end]}, **rest}, usage)
            for end in ends
        ]

    def result(self, item: dict[str, Any]) -> bytes:
        """Write the result of a hosted tool."""
        return self._delta(item, {})

    def unknown(self) -> list[bytes]:
        """Write what no reader knows and none may print."""
        delta = {"role": "assistant", "content": "NEVER PRINT THIS", "phase": "ReportGeneration", "status": "running"}
        return [
            self._delta(delta, None),
            self._delta({**delta, "status": "finished"}, None),
            data({"response.surprise": {"response_id": self.response_id, "content": "NEVER PRINT THIS"}}),
            data({"sources": [{"title": "NEVER PRINT THIS"}]}),
            data(["NEVER PRINT THIS"]),
        ]

    def odd_values(self) -> bytes:
        """Write a search's result with half a character and a number that is none, as Python's `json` lets them be."""
        doc = {"url": "https://example.org/cut", "title": "Cut within a smile", "snippet": "Smile! \ud83d"}
        result = {"docs": [doc], "used_id": 2, "tool_call_metrics": {"seconds": float("nan")}, "tool_observation": ""}
        extra = {"function_id": "1", "tool_result": result, "web_search_info": [doc]}
        delta = {"role": "function", "content": "", "phase": "web_search", "status": "finished", "name": "web_search"}
        event = {"choices": [{"delta": {**delta, "function_id": "round_0_1", "extra": extra}}], "usage": {}}
        return b"data: " + json.dumps({**event, "response_id": self.response_id}).encode() + EVENT_END

    def keep_alive(self) -> bytes:
        """Write the event that says work goes on."""
        event = {"action": "keep_alive", "chat_id": self.chat_id, "response_id": self.response_id}
        return data({"response.info": {**event, "timestamp": int(time.time())}})

    def stopped(self) -> bytes:
        """Say that a person stopped the answer."""
        return data({"response.stopped": {"response_id": self.response_id}})

    def error(self, code: str, details: str) -> bytes:
        """Write an error in mid-answer."""
        error = {"code": code, "details": details}
        return data({"error": error, "response_id": self.response_id, "response_index": 0})

    def _delta(self, delta: dict[str, Any], usage: dict[str, Any] | None, *, stamp: bool = True) -> bytes:
        if not self.phases:
            delta = {key: value for key, value in delta.items() if key != "phase"}
        event: dict[str, Any] = {"choices": [{"delta": delta}], "response_id": self.response_id}
        if usage is not None:
            event["usage"] = usage
        if stamp:
            event["timestamp"] = int(time.time())
        return data(event)
