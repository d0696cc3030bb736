"""A canned upstream: the site's newest wire shapes, one fixed answer, far faster than the server that is measured.

Run as `python -m bench.canned`; it prints its port and serves until its standard input closes.
"""

import asyncio
import json
import sys
from uuid import uuid4

from aiohttp import web

_MODEL = {
    "id": "canned",
    "name": "Canned",
    "owned_by": "qwen",
    "info": {"is_active": True, "meta": {"chat_type": ["t2t"]}},
}
_CREATED = (
    'data: {{"response.created":{{"chat_id":"{chat}","parent_id":"{user}",'
    '"response_id":"{answer}","response_index":"0"}}}} \n\n'
)
_DELTA = (
    'data: {{"choices": [{{"delta": {{"role": "assistant", "content": "{text}", "phase": "answer", '
    '"status": "typing"}}}}], "response_id": "{answer}", '
    '"usage": {{"input_tokens": 20, "output_tokens": {n}, "total_tokens": 40}}}}\n\n'
)
_FINISHED = (
    'data: {{"choices": [{{"delta": {{"content": "", "role": "assistant", "status": "finished", '
    '"phase": "answer"}}}}], "response_id": "{answer}"}}\n\n\n'
)
CHUNKS = 20
WORDS = "".join(f"word {number} " for number in range(1, CHUNKS + 1))
CALL = 'I look it up.\n\n<tool_use>\n  <name>look_up</name>\n  <arguments>{"key": "value"}</arguments>\n</tool_use>'
_SENT: web.AppKey[list[int]] = web.AppKey("sent", list)


async def _completions(request: web.Request) -> web.StreamResponse:
    chat, answer, user = request.query["chat_id"], str(uuid4()), str(uuid4())
    body = await request.read()
    said: str = json.loads(body)["messages"][0]["content"]
    request.app[_SENT].append(len(said.encode()))
    pieces = [CALL] if said.endswith("Use the tool.") else [f"word {number} " for number in range(1, CHUNKS + 1)]
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    await response.write(_CREATED.format(chat=chat, user=user, answer=answer).encode())
    for number, piece in enumerate(pieces, 1):
        await response.write(_DELTA.format(text=json.dumps(piece)[1:-1], answer=answer, n=number).encode())
    await response.write(_FINISHED.format(answer=answer).encode())
    await response.write_eof()
    return response


async def _new_chat(_request: web.Request) -> web.Response:
    return web.json_response({"success": True, "request_id": "r", "data": {"id": str(uuid4())}})


async def _models(_request: web.Request) -> web.Response:
    return web.json_response({"success": True, "request_id": "r", "data": {"data": [_MODEL]}})


async def _sent(request: web.Request) -> web.Response:
    """Tell the bytes of every message text since the last DELETE."""
    return web.json_response(request.app[_SENT])


async def _forget(request: web.Request) -> web.Response:
    request.app[_SENT].clear()
    return web.Response()


async def _anything(_request: web.Request) -> web.Response:
    return web.json_response({"success": True, "request_id": "r", "data": {}})


async def _serve() -> None:
    app = web.Application()
    app[_SENT] = []
    app.add_routes(
        [
            web.post("/api/v2/chat/completions", _completions),
            web.post("/api/v2/chats/new", _new_chat),
            web.get("/api/v2/models/", _models),
            web.get("/bench/sent", _sent),
            web.delete("/bench/sent", _forget),
            web.route("*", "/{rest:.*}", _anything),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve())
