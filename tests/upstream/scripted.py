"""A site that says exactly the bytes a test scripts, and remembers the bytes it was sent."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Act = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Site:
    """`acts` maps `METHOD path` (without the query) to what is done, in turn; the last act repeats."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    acts: dict[str, list[Act]] = field(default_factory=dict)
    connections: int = 0
    tasks: set["asyncio.Task[None] | None"] = field(default_factory=set)

    def on(self, route: str, *acts: Act) -> None:
        self.acts[route] = list(acts)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self.tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").rstrip().split("\r\n")
                method, path, _ = first.split(" ")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append(Request(method, path, headers, body, number))
                acts = self.acts[f"{method} {path.split('?')[0]}"]
                await (acts.pop(0) if len(acts) > 1 else acts[0])(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self.tasks.discard(task)


@asynccontextmanager
async def running_site(secured: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=secured)
    host, port = server.sockets[0].getsockname()[:2]
    site.url = f"{'https' if secured else 'http'}://{host}:{port}"
    try:
        yield site
    finally:
        server.close()
        running = [task for task in site.tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def head(status: int = 200, kind: str = "application/json", *more: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", *more]
    lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def reply(value: object, status: int = 200, *more: str, kind: str = "application/json") -> Act:
    """Answer with a whole body: bytes as they are, anything else as JSON."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, kind, *more, length=len(body)) + body)

    return act


def good(data: object) -> Act:
    return reply({"success": True, "request_id": "r", "data": data})


def refusal(code: str, details: object = "", **more: object) -> dict[str, Any]:
    return {"success": False, "request_id": "r", "data": {"code": code, "details": details, **more}}


def stream(*parts: bytes, end: bool = True, kind: str = "text/event-stream; charset=utf-8") -> Act:
    """Stream these bytes, each part a read of its own; without `end` the stream stays open."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, kind))
        for part in parts:
            writer.write(chunk(part))
            await writer.drain()
            await asyncio.sleep(0)
        if end:
            writer.write(b"0\r\n\r\n")
        else:
            await asyncio.Event().wait()

    return act


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def events(values: Iterable[object]) -> bytes:
    return b"".join(map(event, values))


def created(response_id: str = "a1", parent: str = "u1", **more: object) -> dict[str, Any]:
    return {"response.created": {"chat_id": CHAT, "parent_id": parent, "response_id": response_id, **more}}


def delta(content: object = "", phase: object = "answer", status: object = "typing", **more: Any) -> dict[str, Any]:
    """One delta frame; `usage` and `response_id` go to the frame, everything else into the delta."""
    outer: dict[str, Any] = {key: more.pop(key) for key in ("usage", "timestamp", "error") if key in more}
    response_id = more.pop("response_id", "a1")
    inner = {"role": "assistant", "content": content, "status": status, **more}
    if phase is not None:
        inner["phase"] = phase
    return {"choices": [{"delta": inner}], "response_id": response_id, **outer}


def usage(tokens_in: int = 20, tokens_out: int = 12, reasoning: int = 3, cached: int = 4) -> dict[str, Any]:
    return {
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "characters": 0,
        "output_tokens_details": {"reasoning_tokens": reasoning, "text_tokens": tokens_out},
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def summary(*thoughts: str, status: str = "typing", **more: Any) -> dict[str, Any]:
    titles = {"content": [f"title {number}" for number, _ in enumerate(thoughts)]}
    extra = {"summary_title": titles, "summary_thought": {"content": list(thoughts)}}
    return delta("", "thinking_summary", status, extra=extra, **more)


def call(function_id: str, tool: str, arguments: object) -> dict[str, Any]:
    """One delta of a hosted tool's call, with the JSON of its arguments so far."""
    function = {"name": tool, "arguments": arguments}
    return delta("", tool, function_call=function, function_id=function_id, extra={"display_position": "think"})


def result(function_id: str, tool: str, **extra: Any) -> dict[str, Any]:
    """What a hosted tool found."""
    extra = {"function_id": function_id.removeprefix("round_0_"), **extra}
    return delta("", tool, "finished", role="function", name=tool, function_id=function_id, extra=extra, usage={})


def found(function_id: str, used_id: object, *addresses: object) -> dict[str, Any]:
    """What a web search found: pages, and the number that the next search's first page will have."""
    docs = [{"url": url, "title": f"About {url}", "snippet": "", "hostname": "", "date": ""} for url in addresses]
    tool_result = {"docs": docs, "used_id": used_id, "tool_call_metrics": {}, "tool_observation": ""}
    return result(function_id, "web_search", tool_result=tool_result, web_search_info=docs)


CHAT = "c0000000-0000-4000-8000-000000000001"
FINISH = delta("", "answer", "finished")
PLAIN = [created(response_index="0"), delta("No: 91 = "), delta("7 x 13.", usage=usage()), delta(), FINISH]
ANTI_BOT = {
    "ret": ["FAIL_SYS_USER_VALIDATE", "RGV587_ERROR::SM::wait"],
    "data": {"url": "https://chat.qwen.ai/_____tmd_____/punish?x5secdata=verysecretvalue"},
}
WAF_PAGE = b'<!doctypehtml><meta charset="UTF-8"><meta name="aliyun_waf_aa" content="x">\n\n<body></body>'
MALFORMED = (
    b'{"success":false,"data":{"code":"X","details":"\xe4\xb8"}}',
    b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"error":' + b"[" * 700 + b"]" * 700 + b"}",
    b'{"error":' + b'{"a":' * 700 + b"1" + b"}" * 700 + b"}",
    b'{"success":false,"data":{"code":1' + b"0" * 9000 + b"}}",
)
"""Answers that begin like JSON: not UTF-8, deeper than a stack, deep enough to break who reads them, endless."""
