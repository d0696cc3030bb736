"""A canned upstream: the site's newest wire shapes, fixed answers, far faster than the server that is measured.

Run as `python -m bench.canned`; it prints its port and serves until its standard input closes. The end of a message
says how to answer: `chunks=200` in that many pieces, `pace=10` with as many milliseconds between them, each piece then
holding the time at which it was sent; `Use the tool.` asks for a call. For peers it speaks OpenAI's protocol too.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any, cast
from uuid import uuid4

from bench.shapes import OPENAI, OPENAI_WHOLE, SITE, Shape

_MODEL = {
    "id": "canned",
    "name": "Canned",
    "owned_by": "qwen",
    "info": {"is_active": True, "meta": {"chat_type": ["t2t"]}},
}
CHUNKS = 20
CALL = 'I look it up.\n\n<tool_use>\n  <name>look_up</name>\n  <arguments>{"key": "value"}</arguments>\n</tool_use>'
_HOW = re.compile(r"(chunks|pace)=(\d+)")
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def words(chunks: int) -> str:
    """Return the whole text of an answer in that many pieces."""
    return "".join(f"word {number} " for number in range(1, chunks + 1))


WORDS = words(CHUNKS)


class Canned(asyncio.Protocol):
    """One connection; requests are answered one after the other, bytes are put together without a framework."""

    def __init__(self, sent: list[int]) -> None:
        self._sent = sent
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None
        self._routes: dict[str, Callable[[str, bytes], None]] = {
            "/api/v2/chat/completions": self._complete,
            "/v1/chat/completions": self._complete_openai,
            "/api/v2/chats/new": lambda *_: self._json({"id": str(uuid4())}),
            "/api/v2/models/": lambda *_: self._json({"data": [_MODEL]}),
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].decode("latin-1")
            length = re.search(r"(?i)content-length: *(\d+)", head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            body = bytes(self._buffer[end + 4 : whole])
            del self._buffer[:whole]
            method, target, _ = head.split(" ", 2)
            self._answer(method, target, body)

    def _answer(self, method: str, target: str, body: bytes) -> None:
        path, _, query = target.partition("?")
        if path == "/bench/sent":
            if method == "DELETE":
                self._sent.clear()
            self._plain(json.dumps(self._sent).encode())
        elif path in self._routes:
            self._routes[path](query, body)
        else:
            self._json({})

    def _complete(self, query: str, body: bytes) -> None:
        said: str = json.loads(body)["messages"][0]["content"]
        self._sent.append(len(said.encode()))
        self._stream(SITE, said, chat=query.partition("=")[2])

    def _complete_openai(self, _: str, body: bytes) -> None:
        call = json.loads(body)
        said: str = call["messages"][-1]["content"]
        if call.get("stream"):
            self._stream(OPENAI, said)
        else:
            self._plain(OPENAI_WHOLE.format(answer=uuid4(), text="".join(_pieces(said))).encode())

    def _stream(self, shape: Shape, said: str, chat: str = "") -> None:
        answer, how = str(uuid4()), _how(said)
        opening = shape.opening.format(chat=chat, user=uuid4(), answer=answer)
        if "pace" in how:
            self._write(_STREAM + (_chunk(opening) if opening else b""))
            chunks, pace = how.get("chunks", CHUNKS), how["pace"] / 1000
            self._paced(shape, answer, 1, chunks, pace, asyncio.get_running_loop().time())
            return
        deltas = (shape.delta.format(text=piece, answer=answer, n=n) for n, piece in enumerate(_pieces(said), 1))
        self._write(_STREAM + _chunk(opening + "".join(deltas) + shape.end.format(answer=answer)) + b"0\r\n\r\n")

    def _paced(self, shape: Shape, answer: str, number: int, chunks: int, pace: float, due: float) -> None:
        """Write a piece now, and have the next one written in its time."""
        if number > chunks:
            self._write(_chunk(shape.end.format(answer=answer)) + b"0\r\n\r\n")
            return
        self._write(_chunk(shape.delta.format(text=f"t={time.monotonic():.6f} ", answer=answer, n=number)))
        due += pace
        asyncio.get_running_loop().call_at(due, self._paced, shape, answer, number + 1, chunks, pace, due)

    def _json(self, data: Any) -> None:
        self._plain(json.dumps({"success": True, "request_id": "r", "data": data}).encode())

    def _plain(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._write(head.encode() + body)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(data)


def _how(said: str) -> dict[str, int]:
    return {name: int(number) for name, number in _HOW.findall(said[-40:])}


def _pieces(said: str) -> list[str]:
    """Return the answer to a message in pieces, written for the inside of a JSON text."""
    if said.endswith("Use the tool."):
        return [json.dumps(CALL)[1:-1]]
    return [f"word {number} " for number in range(1, _how(said).get("chunks", CHUNKS) + 1)]


def _chunk(text: str) -> bytes:
    raw = text.encode()
    return b"%x\r\n%b\r\n" % (len(raw), raw)


async def _serve() -> None:
    sent: list[int] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Canned(sent), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    if sys.platform == "win32":
        asyncio.run(_serve())
    else:
        import uvloop

        uvloop.run(_serve())
