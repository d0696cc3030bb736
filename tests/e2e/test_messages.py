"""Anthropic's Messages API, by its own client: a conversation goes on in its chat, and only the new is sent."""

import base64
import hashlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message, TextBlockParam, ToolParam, ToolUseBlock

from tests.e2e.harness import MODEL, Server, emulating, eventually, serving
from tests.samples import PNG

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"
THINK: Any = {"type": "enabled", "budget_tokens": 1024}
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "Tell how warm it is in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
BILLING = "x-anthropic-billing-header: cc_version=2.1.197.{}; cc_entrypoint=cli; cch={};"


def client_of(server: Server, key: str = "any") -> AsyncAnthropic:
    return AsyncAnthropic(base_url=server.url, api_key=key, max_retries=0)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncAnthropic]:
    async with client_of(server) as client:
        yield client


class Talk:
    """A client that keeps its own history, the answers as they came."""

    def __init__(self, client: AsyncAnthropic, *, stream: bool = False, **fields: Any) -> None:
        self.client = client
        self.messages: list[Any] = []
        self.stream = stream
        self.fields: dict[str, Any] = {"model": MODEL, "max_tokens": 4000, **fields}
        self.match: str | None = None

    async def say(self, content: Any, **fields: Any) -> Message:
        self.messages.append({"role": "user", "content": content})
        wanted = {**self.fields, "messages": self.messages, **fields}
        if self.stream:
            async with self.client.messages.stream(**wanted) as stream:
                said: Message = await stream.get_final_message()
                self.match = stream.response.headers["X-Session-Match"]
        else:
            raw = await self.client.messages.with_raw_response.create(**wanted)
            said = await raw.parse()
            self.match = raw.headers["X-Session-Match"]
        self.messages.append({"role": "assistant", "content": [block.model_dump() for block in said.content]})
        return said


def text_of(said: Message) -> str:
    return "".join(block.text for block in said.content if block.type == "text")


def calls_of(said: Message) -> list[ToolUseBlock]:
    return [block for block in said.content if block.type == "tool_use"]


def result(call: ToolUseBlock, text: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": text}]}


def sent(server: Server) -> list[str]:
    return [shown.text for shown in server.emulator.shown]


def call_text(*cities: str) -> str:
    return "\n".join(
        f'<tool_use>\n<name>get_weather</name>\n<arguments>{{"city": "{city}"}}</arguments>\n</tool_use>'
        for city in cities
    )


def plain(messages: Iterable[Any]) -> list[Any]:
    """Return messages with texts in the place of blocks."""
    return [
        {**each, "content": each["content"] if isinstance(each["content"], str) else _text(each)} for each in messages
    ]


def _text(message: Any) -> str:
    return "".join(block["text"] for block in message["content"] if block["type"] == "text")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_goes_on_in_its_chat(client: AsyncAnthropic, server: Server, stream: bool) -> None:
    talk = Talk(client, stream=stream)
    first = await talk.say(DOG)
    second = await talk.say(ASK)
    assert (text_of(second), talk.match) == ("Your dog is Waldo.", "exact")
    assert (second.stop_reason, second.model, second.id != first.id) == ("end_turn", MODEL, True)
    assert second.usage.input_tokens > 0 < second.usage.output_tokens
    assert sent(server) == [DOG, ASK]
    assert len(server.emulator.chats) == 1


async def test_a_stream_tells_its_input_at_once_and_what_was_thought_of_its_output(client: AsyncAnthropic) -> None:
    wanted: Any = {
        "model": MODEL,
        "max_tokens": 4000,
        "thinking": THINK,
        "messages": [{"role": "user", "content": DOG}],
    }
    async with client.messages.stream(**wanted) as stream:
        begun = [event.message.usage async for event in stream if event.type == "message_start"]
        said = await stream.get_final_message()
    details = said.usage.output_tokens_details
    assert details is not None
    assert 0 < details.thinking_tokens < said.usage.output_tokens
    assert begun[0].input_tokens == said.usage.input_tokens > 0


async def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with emulating() as emulator:
        async with serving(tmp_path, emulator) as server, client_of(server) as client:
            begun = Talk(client)
            await begun.say(DOG)
        async with serving(tmp_path, emulator) as server, client_of(server) as client:
            talk = Talk(client)
            talk.messages = begun.messages
            assert text_of(await talk.say(ASK)) == "Your dog is Waldo."
        assert [shown.text for shown in emulator.shown] == [DOG, ASK]


async def test_an_edited_message_is_a_branch_in_the_same_chat(client: AsyncAnthropic, server: Server) -> None:
    talk = Talk(client)
    await talk.say(DOG)
    await talk.say("My cat is called Mimi.")
    del talk.messages[2:]
    assert text_of(await talk.say(ASK)) == "Your dog is Waldo."
    _, second, third = server.emulator.shown
    assert (second.parent_id, second.chat_id) == (third.parent_id, third.chat_id)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_thought_is_shown_when_asked_for_and_not_told_again(
    client: AsyncAnthropic, server: Server, stream: bool
) -> None:
    talk = Talk(client, stream=stream, thinking=THINK)
    server.emulator.script.answer("Noted.", thinking=["I note it."])
    first = await talk.say(DOG)
    assert [block.type for block in first.content] == ["thinking", "text"]
    assert first.content[0].type == "thinking"
    assert first.content[0].thinking == "I note it."
    second = await talk.say(ASK, thinking={"type": "disabled"})
    assert [block.type for block in second.content] == ["text"]
    assert (sent(server), talk.match) == ([DOG, ASK], "exact")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_loop_of_tools_sends_the_results_only(client: AsyncAnthropic, server: Server, stream: bool) -> None:
    talk = Talk(client, stream=stream, tools=[WEATHER])
    server.emulator.script.answer("I look.\n\n" + call_text("Paris", "Rome"))
    server.emulator.script.answer(call_text("Oslo"))
    server.emulator.script.answer("In Rome.")
    asked = await talk.say("Where is it warmest?")
    paris, rome = calls_of(asked)
    assert (text_of(asked), asked.stop_reason) == ("I look.", "tool_use")
    assert (paris.name, paris.input, rome.input) == ("get_weather", {"city": "Paris"}, {"city": "Rome"})
    (oslo,) = calls_of(await talk.say([result(paris, "22 degrees"), result(rome, "31 degrees")]))
    told = await talk.say([result(oslo, "9 degrees"), {"type": "text", "text": "Be quick."}])
    assert (text_of(told), told.stop_reason) == ("In Rome.", "end_turn")
    question, results, last = server.emulator.shown
    assert "get_weather" in question.text
    assert 0 <= results.text.find("22 degrees") < results.text.find("31 degrees")
    assert "9 degrees" in last.text
    assert last.text.endswith("Be quick.")
    assert "warmest" not in results.text + last.text
    assert question.chat_id == results.chat_id == last.chat_id
    await talk.say("Thanks")
    assert (sent(server)[-1], talk.match) == ("Thanks", "exact")


async def test_a_tool_that_has_to_be_used_is_asked_for(client: AsyncAnthropic, server: Server) -> None:
    server.emulator.script.answer("No.")
    server.emulator.script.answer(call_text("Rome"))
    said = await Talk(client, tools=[WEATHER], tool_choice={"type": "any"}).say("hi")
    assert [call.input for call in calls_of(said)] == [{"city": "Rome"}]
    assert len(server.emulator.shown) == 2


async def test_the_system_prompt_is_told_once_and_again_when_it_changed(client: AsyncAnthropic, server: Server) -> None:
    talk = Talk(client, system="Be kind.")
    await talk.say(DOG)
    await talk.say("One.")
    await talk.say("Two.", system="Be brief.")
    assert sent(server) == [
        f"<instructions>\nBe kind.\n</instructions>\n\n{DOG}",
        "One.",
        "These instructions replace the ones given earlier:\n<instructions>\nBe brief.\n</instructions>\n\nTwo.",
    ]


async def test_claude_code_is_told_nothing_twice(client: AsyncAnthropic, server: Server) -> None:
    """It counts its requests in the system prompt, and puts system messages among the others as it goes on."""

    def system(number: int) -> list[TextBlockParam]:
        billing = BILLING.format(f"{number:03x}", f"{number:05x}")
        return [{"type": "text", "text": text} for text in (billing, "You are an agent.", "Use tools.")]

    talk = Talk(client, tools=[WEATHER])
    server.emulator.script.answer(call_text("Rome"))
    reminder = {"type": "text", "text": "<system-reminder>\nToday is Monday.\n</system-reminder>"}
    talk.messages += [
        {"role": "user", "content": [reminder, {"type": "text", "text": "How warm is it?"}]},
        {"role": "system", "content": "Skills: none."},
    ]
    raw = await client.messages.create(**talk.fields, messages=talk.messages, system=system(1))
    talk.messages += [
        {"role": "assistant", "content": [block.model_dump() for block in raw.content]},
        {"role": "user", "content": [result(calls_of(raw)[0], "31 degrees")]},
        {"role": "system", "content": "Agents: one."},
    ]
    server.emulator.script.answer("It is 31 degrees.")
    answered = await client.messages.create(**talk.fields, messages=talk.messages, system=system(2))
    talk.messages.append({"role": "assistant", "content": [block.model_dump() for block in answered.content]})
    await talk.say("Thanks", system=system(3))
    first, second, third = sent(server)
    assert "cc_version" not in first
    assert first.index("Use tools.") < first.index("Skills: none.") < first.index("Today is Monday.")
    assert "31 degrees" in second
    assert "<system>\nAgents: one.\n</system>" in second
    assert not any(told in second for told in ("Use tools.", "Skills", "Monday", "how warm it is in"))
    assert third == "Thanks"
    (chat,) = server.emulator.chats.values()
    await eventually(lambda: chat.title == "How warm is it?")


async def test_a_system_message_that_is_added_goes_to_the_chat_whose_prompt_it_adds_to(
    client: AsyncAnthropic, server: Server
) -> None:
    talks = [Talk(client, system=system) for system in ("Be kind.", "Be brief.")]
    for talk in talks:
        server.emulator.script.answer("Hello!")
        await talk.say("hi")
    for talk, added in zip(talks, ("Mind the cat.", "Mind the dog."), strict=True):
        talk.messages.append({"role": "system", "content": added})
        await talk.say("Go on.")
        assert (sent(server)[-1], talk.match) == (f"<system>\n{added}\n</system>\n\nGo on.", "exact")
    kind, brief, kind_again, brief_again = (shown.chat_id for shown in server.emulator.shown)
    assert (kind, brief) == (kind_again, brief_again)


async def test_claude_code_s_title_leaves_no_chat(client: AsyncAnthropic, server: Server) -> None:
    system = "You are an agent.\n\nGenerate a concise, sentence-case title (3-7 words) that captures the main topic."
    talk = Talk(client, system=system)
    await talk.say("<session>\nFix the login\n</session>\n\nWrite the title.")
    await eventually(lambda: not server.emulator.chats)


async def test_a_picture_is_shown_to_the_model(client: AsyncAnthropic, server: Server) -> None:
    picture = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
    talk = Talk(client)
    await talk.say([{"type": "image", "source": picture}, {"type": "text", "text": "What is it?"}])
    await talk.say("And its colour?")
    first, second = server.emulator.shown
    assert [file.digest for file in first.files] == [hashlib.sha256(PNG).hexdigest()]
    assert (second.text, second.files, talk.match) == ("And its colour?", first.files[:0], "exact")


@pytest.mark.parametrize(
    ("fields", "reason", "sequence", "text"),
    [
        ({"stop_sequences": ["three", "END"]}, "stop_sequence", "three", "one two "),
        ({"max_tokens": 60}, "max_tokens", None, None),
        ({}, "end_turn", None, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_says_why_it_ended(
    client: AsyncAnthropic,
    server: Server,
    fields: dict[str, Any],
    reason: str,
    sequence: str | None,
    text: str | None,
    stream: bool,
) -> None:
    server.emulator.script.answer("one two three " + "four " * 500 + "END")
    said = await Talk(client, stream=stream, **fields).say("count")
    assert (said.stop_reason, said.stop_sequence) == (reason, sequence)
    assert text in {None, text_of(said)}


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_end_an_answer_also_before_a_stop_sequence(
    client: AsyncAnthropic, server: Server, stream: bool
) -> None:
    server.emulator.script.answer(f"I look.\n\n{call_text('Rome')}\nEND")
    said = await Talk(client, stream=stream, tools=[WEATHER], stop_sequences=["END"]).say("How warm is it?")
    assert (said.stop_reason, said.stop_sequence, len(calls_of(said))) == ("tool_use", None, 1)


async def test_an_answer_has_the_form_that_was_asked_for(client: AsyncAnthropic, server: Server) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    server.emulator.script.answer('```json\n{"name": "Waldo"}\n```')
    said = await Talk(client, output_config={"format": {"type": "json_schema", "schema": schema}}).say(DOG)
    assert text_of(said) == '{"name":"Waldo"}'
    for _ in range(2):
        server.emulator.script.answer("No.")
    with pytest.raises(anthropic.UnprocessableEntityError) as refused:
        await Talk(client, output_config={"format": {"type": "json_schema", "schema": schema}}).say(DOG)
    assert error_of(refused.value)["code"] == "response_format_unmet"


async def test_a_web_search_is_cited(client: AsyncAnthropic) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    for stream in (False, True):
        said = await Talk(client, stream=stream, tools=[search]).say("Search the web for tides")
        (block,) = [block for block in said.content if block.type == "text"]
        assert block.citations
        assert all(cited.type == "web_search_result_location" for cited in block.citations)


async def test_a_prompt_in_another_form_takes_the_place_of_what_was_told(
    client: AsyncAnthropic, server: Server
) -> None:
    talk = Talk(client, system="Be kind.")
    await talk.say(DOG)
    talk.messages.append({"role": "system", "content": "French."})
    await talk.say("One.")
    spoken = [message for message in plain(talk.messages) if message["role"] != "system"]
    asked: Any = {"role": "user", "content": "Two."}
    reply = await server.client.chat([{"role": "system", "content": "Be kind.\n\nFrench."}, *spoken, asked])
    assert reply.match == "exact"
    assert sent(server)[-1].startswith("None of the instructions and system messages given earlier apply any longer.")


async def test_both_wire_formats_go_on_in_one_conversation(client: AsyncAnthropic, server: Server) -> None:
    begun = server.conversation(system="Be kind.")
    await begun.say(DOG)
    talk = Talk(client, system="Be kind.")
    talk.messages = [message for message in begun.messages if message["role"] != "system"]
    assert text_of(await talk.say(ASK)) == "Your dog is Waldo."
    begun.messages += [{"role": "user", "content": ASK}, {"role": "assistant", "content": "Your dog is Waldo."}]
    assert (await begun.say("Thanks")).match == "exact"
    assert sent(server)[1:] == [ASK, "Thanks"]


def error_of(problem: anthropic.APIStatusError) -> dict[str, Any]:
    assert isinstance(problem.body, dict)
    assert problem.body["type"] == "error"
    assert problem.body["request_id"] == problem.response.headers["request-id"] == problem.request_id
    return dict(problem.body["error"])


@pytest.mark.parametrize(
    ("fields", "kind", "code", "status"),
    [
        ({"model": "claude-sonnet-4-5"}, "not_found_error", "model_not_found", 404),
        ({"max_tokens": 0}, "invalid_request_error", None, 400),
        ({"mcp_servers": [{"type": "url"}]}, "invalid_request_error", "unsupported_parameter", 400),
    ],
)
async def test_what_cannot_be_served_is_an_error_of_anthropics(
    client: AsyncAnthropic, fields: dict[str, Any], kind: str, code: str | None, status: int
) -> None:
    wanted = {"model": MODEL, "max_tokens": 100, **fields}
    body = {name: value for name, value in wanted.items() if name in {"model", "max_tokens"}}
    extra = {name: value for name, value in wanted.items() if name not in body}
    with pytest.raises(anthropic.APIStatusError) as refused:
        await client.messages.create(**body, messages=[{"role": "user", "content": "hi"}], extra_body=extra)
    assert refused.value.status_code == status
    assert refused.value.response.headers["x-should-retry"] == "false"
    error = error_of(refused.value)
    assert (error["type"], error["code"]) == (kind, code)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"output_format": {"type": "json_schema", "schema": {}}}, "output_format"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, "output_config.format"),
    ],
)
async def test_a_form_that_an_answer_cannot_have_is_named_as_the_client_named_it(
    client: AsyncAnthropic, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(anthropic.BadRequestError, match="has no form of JSON") as refused:
        await Talk(client, model=f"{MODEL}-image", extra_body=fields).say("A fox")
    assert error_of(refused.value)["param"] == param


async def test_a_prompt_that_is_too_long_is_told_in_the_words_that_clients_know(tmp_path: Path) -> None:
    async with (
        emulating() as emulator,
        serving(tmp_path, emulator, MAX_INPUT_TOKENS="1000") as server,
        client_of(server) as client,
    ):
        with pytest.raises(anthropic.BadRequestError, match="prompt is too long") as refused:
            await Talk(client, model="qwq-32b").say("word " * 5000)
    assert error_of(refused.value)["code"] == "context_length_exceeded"


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
async def test_a_key_is_asked_for(tmp_path: Path, header: str) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, API_KEYS="anna:anna-key-1") as server:
        for key in ("anna-key-1", "wrong"):
            by_header: Any = {"api_key": key} if header == "x-api-key" else {"auth_token": key}
            async with AsyncAnthropic(base_url=server.url, max_retries=0, **by_header) as client:
                if key == "wrong":
                    with pytest.raises(anthropic.AuthenticationError) as refused:
                        await Talk(client).say(DOG)
                    assert error_of(refused.value)["type"] == "authentication_error"
                else:
                    assert (await Talk(client).say(DOG)).stop_reason == "end_turn"


async def test_what_the_site_refuses_is_told_before_and_within_a_stream(client: AsyncAnthropic, server: Server) -> None:
    server.emulator.script.fault("rate_limited")
    with pytest.raises(anthropic.RateLimitError) as refused:
        await Talk(client, stream=True).say(DOG)
    assert error_of(refused.value)["type"] == "rate_limit_error"
    server.emulator.script.fault("error_in_stream_text")
    with pytest.raises(anthropic.APIStatusError) as cut:
        await Talk(client, stream=True).say(DOG)
    assert isinstance(cut.value.body, dict)
    assert cut.value.body["error"]["code"] == "upstream_busy"


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/v1/messages"])
async def test_a_route_that_is_none_is_told_in_anthropics_shape(server: Server, path: str) -> None:
    reply = await server.client.post(path, {"model": MODEL, "messages": []})
    assert (reply.status, reply.body["type"], reply.body["error"]["type"]) == (404, "error", "not_found_error")


async def test_histories_of_plain_texts_are_the_same_conversation(client: AsyncAnthropic, server: Server) -> None:
    talk = Talk(client)
    await talk.say([{"type": "text", "text": DOG, "cache_control": {"type": "ephemeral"}}])
    talk.messages = plain(talk.messages)
    assert text_of(await talk.say(ASK)) == "Your dog is Waldo."
    assert (sent(server), talk.match) == ([DOG, ASK], "exact")
