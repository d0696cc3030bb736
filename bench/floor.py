"""The floor: a bare aiohttp proxy of the same protocol without any feature: `python -m bench.floor URL`.

It makes a chat for every request, sends the whole history as one message, and passes the answer on in OpenAI's shape:
aiohttp server and client, uvloop, json of the standard library, one write for each read, nothing stored.
"""

import asyncio
import json
import sys
from uuid import uuid4

import aiohttp
from aiohttp import web

_SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)
_URL: web.AppKey[str] = web.AppKey("url", str)


def _texts(buffer: bytes) -> tuple[list[str], bytes]:
    *frames, rest = buffer.split(b"\n\n")
    found = []
    for frame in frames:
        if frame.strip().startswith(b"data: "):
            event = json.loads(frame.strip()[6:])
            found += [choice["delta"]["content"] for choice in event.get("choices", ())]
    return [text for text in found if text], rest


async def _completions(request: web.Request) -> web.StreamResponse:
    call = json.loads(await request.read())
    session, url = request.app[_SESSION], request.app[_URL]
    async with session.post(f"{url}/api/v2/chats/new", json={"models": [call["model"]]}) as made:
        chat = json.loads(await made.read())["data"]["id"]
    said = "\n\n".join(message["content"] for message in call["messages"])
    body = {"stream": True, "chat_id": chat, "messages": [{"role": "user", "content": said}]}
    name = f"chatcmpl-{uuid4().hex}"
    base = {"id": name, "object": "chat.completion.chunk", "created": 0, "model": call["model"]}
    async with session.post(f"{url}/api/v2/chat/completions?chat_id={chat}", json=body) as answer:
        if not call.get("stream"):
            texts, _ = _texts(await answer.read())
            message = {"role": "assistant", "content": "".join(texts)}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            return web.json_response({**base, "object": "chat.completion", "choices": choices})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        buffer = b""
        async for data in answer.content.iter_any():
            texts, buffer = _texts(buffer + data)
            frames = [{**base, "choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
            if frames:
                await response.write(b"".join(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames))
        end = {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        await response.write(b"data: " + json.dumps(end).encode() + b"\n\ndata: [DONE]\n\n")
        await response.write_eof()
        return response


async def _serve(url: str) -> None:
    app = web.Application(client_max_size=1 << 26)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        app[_SESSION], app[_URL] = session, url
        app.router.add_post("/v1/chat/completions", _completions)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await runner.cleanup()


if __name__ == "__main__":
    if sys.platform == "win32":
        asyncio.run(_serve(sys.argv[1]))
    else:
        import uvloop

        uvloop.run(_serve(sys.argv[1]))
