"""How real clients give a history back (docs/clients.md): what a test keeps whole, as each of them would send it."""

import re
from dataclasses import dataclass, field

from tests.e2e.harness import Client, Messages, Reply

_TOOL_USE = re.compile(r"<tool_use>.*?</tool_use>", re.DOTALL)


def call_text(name: str = "get_weather", arguments: str = '{"city":"Paris"}') -> str:
    return f"<tool_use>\n  <name>{name}</name>\n  <arguments>{arguments}</arguments>\n</tool_use>"


def result_text(text: str, name: str = "get_weather") -> str:
    return f"<tool_use_result>\n  <name>{name}</name>\n  <result>{text}</result>\n</tool_use_result>"


def old_result(text: str, name: str = "get_weather") -> list[dict[str, str]]:
    """A result as Cherry Studio 1.4 to 1.6 sends it: two text parts of a user message."""
    parts = (f"Here is the result of mcp tool use `{name}`:", f'[{{"type":"text","text":"{text}"}}]')
    return [{"type": "text", "text": part} for part in parts]


def user(text: object) -> dict[str, object]:
    return {"role": "user", "content": text}


def assistant(text: str, **more: object) -> dict[str, object]:
    return {"role": "assistant", "content": text, **more}


def last_messages(messages: Messages, count: int) -> Messages:
    """Trim as Cherry Studio does: the last messages, from the first user message on."""
    kept = messages[-count:]
    while kept and kept[0]["role"] != "user":
        kept = kept[1:]
    return kept


@dataclass
class Topic:
    """A Cherry Studio topic: whole turns are kept, a request sends the last `window` messages.

    `say` is one user turn; `step` continues its tool loop with a result, the messages of which are thrown away between
    turns: then one answer stands for them all.
    """

    client: Client
    system: str = ""
    window: int = 7
    turns: Messages = field(default_factory=list)
    loop: Messages = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    sent: Messages = field(default_factory=list)

    async def say(self, text: str) -> Reply:
        self.close()
        self.turns.append(user(text))
        self.sent = last_messages(self.turns, self.window)
        return await self.send()

    async def step(self, result: object, shown: str | None) -> Reply:
        """Send a result; `shown` is how this version of Cherry shows the answer before it, None: not at all."""
        if shown is not None:
            self.loop.append(assistant(shown))
        self.loop.append(user(result))
        return await self.send()

    async def send(self) -> Reply:
        system = [{"role": "system", "content": self.system}] if self.system else []
        reply = await self.client.chat([*system, *self.sent, *self.loop], stream=True)
        assert reply.status == 200, reply.body
        self.texts.append(reply.text)
        return reply

    def close(self) -> None:
        """End the turn: its visible texts become one answer."""
        if self.texts:
            visible = [_TOOL_USE.sub("", text) for text in self.texts]
            self.turns.append(assistant("\n\n".join(text for text in visible if text).strip()))
        self.loop, self.texts = [], []
