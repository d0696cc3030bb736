"""The pieces of an answer on the wire, as templates: those of chat.qwen.ai, and OpenAI's for peers."""

from typing import NamedTuple


class Shape(NamedTuple):
    """How an answer is streamed: what comes first, each piece of its text, and its end."""

    opening: str
    delta: str
    end: str


SITE = Shape(
    'data: {{"response.created":{{"chat_id":"{chat}","parent_id":"{user}",'
    '"response_id":"{answer}","response_index":"0"}}}} \n\n',
    'data: {{"choices": [{{"delta": {{"role": "assistant", "content": "{text}", "phase": "answer", '
    '"status": "typing"}}}}], "response_id": "{answer}", '
    '"usage": {{"input_tokens": 20, "output_tokens": {n}, "total_tokens": 40}}}}\n\n',
    'data: {{"choices": [{{"delta": {{"content": "", "role": "assistant", "status": "finished", '
    '"phase": "answer"}}}}], "response_id": "{answer}"}}\n\n\n',
)
_CHUNK = 'data: {{"id": "{answer}", "object": "chat.completion.chunk", "created": 1, "model": "canned", "choices": '
OPENAI = Shape(
    "",
    _CHUNK + '[{{"index": 0, "delta": {{"role": "assistant", "content": "{text}"}}, "finish_reason": null}}]}}\n\n',
    _CHUNK + '[{{"index": 0, "delta": {{}}, "finish_reason": "stop"}}]}}\n\ndata: [DONE]\n\n',
)
OPENAI_WHOLE = (
    '{{"id": "{answer}", "object": "chat.completion", "created": 1, "model": "canned", "choices": '
    '[{{"index": 0, "message": {{"role": "assistant", "content": "{text}"}}, "finish_reason": "stop"}}], '
    '"usage": {{"prompt_tokens": 20, "completion_tokens": 20, "total_tokens": 40}}}}'
)
