"""The client that most people have works, and shows our errors as its own."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI

from app.emulator import Emulator
from tests.e2e.harness import MODEL, Server, serving


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
        yield client


async def test_it_holds_a_conversation(client: AsyncOpenAI, server: Server) -> None:
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": "My dog is called Waldo."}
    ]
    first = await client.chat.completions.create(model=MODEL, messages=messages)
    messages += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "What is my dog called?"},
    ]
    second = await client.chat.completions.create(model=MODEL, messages=messages)
    assert second.choices[0].message.content == "Your dog is Waldo."
    assert second.choices[0].finish_reason == "stop"
    assert second.usage is not None
    assert second.usage.total_tokens == second.usage.prompt_tokens + second.usage.completion_tokens
    assert second.usage.completion_tokens_details is not None
    assert second.usage.completion_tokens_details.reasoning_tokens
    assert len(server.emulator.chats) == 1


async def test_it_continues_a_streamed_conversation(client: AsyncOpenAI, server: Server) -> None:
    messages: list[openai.types.chat.ChatCompletionMessageParam] = []
    reasons = []
    for text in ("My dog is called Waldo.", "What is my dog called?"):
        messages.append({"role": "user", "content": text})
        async with client.chat.completions.stream(model=MODEL, messages=messages) as stream:
            answer = (await stream.get_final_completion()).choices[0]
        messages.append({"role": "assistant", "content": answer.message.content})
        reasons.append(answer.finish_reason)
    assert (messages[-1]["content"], reasons) == ("Your dog is Waldo.", ["stop", "stop"])
    first, second = server.emulator.shown
    assert (second.text, second.chat_id) == ("What is my dog called?", first.chat_id)


WEATHER: openai.types.chat.ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell how warm it is in a city.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.mark.parametrize("stream", [False, True])
async def test_it_runs_a_loop_of_tools(client: AsyncOpenAI, server: Server, stream: bool) -> None:
    async def ask() -> openai.types.chat.ChatCompletionMessage:
        if not stream:
            whole = await client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
            return whole.choices[0].message
        async with client.chat.completions.stream(model=MODEL, messages=messages, tools=[WEATHER]) as chunks:
            return (await chunks.get_final_completion()).choices[0].message

    messages: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": "Where is it warmer, in Paris or in Rome?"}
    ]
    degrees = {"Paris": "22 degrees", "Rome": "31 degrees"}
    calls = [
        f'<tool_use>\n  <name>get_weather</name>\n  <arguments>{{ "city": "{city}" }}</arguments>\n</tool_use>'
        for city in degrees
    ]
    server.emulator.script.answer("I look.\n\n" + "\n".join(calls))
    server.emulator.script.answer("In Rome.")
    called = await ask()
    assert called.content == "I look."
    functions = [call for call in called.tool_calls or () if call.type == "function"]
    messages.append(
        {
            "role": "assistant",
            "content": called.content,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
                for call in functions
            ],
        }
    )
    for call in functions:
        city = json.loads(call.function.arguments)["city"]
        messages.append({"role": "tool", "tool_call_id": call.id, "content": degrees[city]})
    answered = await ask()
    assert (answered.content, answered.tool_calls) == ("In Rome.", None)
    question, results = server.emulator.shown
    assert "Where is it warmer, in Paris or in Rome?" in question.text
    assert 0 <= results.text.find("22 degrees") < results.text.find("31 degrees")
    assert "warm" not in results.text
    assert results.chat_id == question.chat_id


async def test_it_streams_with_usage(client: AsyncOpenAI, server: Server) -> None:
    numbers = [str(number) for number in range(1, 21)]
    pieces = [numbers[0], *(f" {number}" for number in numbers[1:])]
    server.emulator.script.answer("", pieces=pieces, delay=0.02)  # apart: what arrives together is sent together
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "count to 20"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == " ".join(numbers)
    assert len(chunks) > 20
    assert chunks[-1].usage is not None
    assert chunks[-1].choices == []


async def test_it_lists_models_and_shows_an_alias(client: AsyncOpenAI) -> None:
    listed = [model.id async for model in client.models.list()]
    assert MODEL in listed
    assert (await client.models.retrieve(MODEL)).id == MODEL


async def test_errors_are_its_own_exception_types(client: AsyncOpenAI, server: Server) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(model="nothing", messages=[{"role": "user", "content": "hi"}])
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        await client.chat.completions.create(model=MODEL, messages=[], n=1)
    assert bad.value.param == "messages"
    server.emulator.script.fault("rate_limited")
    with pytest.raises(openai.RateLimitError):
        await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    server.emulator.script.fault("anti_bot")
    with pytest.raises(openai.InternalServerError) as blocked:
        await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    assert blocked.value.status_code == 503


async def test_it_does_not_repeat_what_must_not_be_repeated(server: Server) -> None:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=2) as client:
        server.emulator.script.fault("anti_bot", times=3)
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    sent = [request for request in server.emulator.requests if request.path.endswith("/completions")]
    assert len(sent) == 1


async def test_an_error_in_mid_stream_is_raised(client: AsyncOpenAI, server: Server) -> None:
    server.emulator.script.answer("", pieces=["One ", "two ", "three ", "four"], fault="error_in_stream")
    stream = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=True
    )
    text = ""
    with pytest.raises(openai.APIError):
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    assert text == "One two "


async def test_a_wrong_key_is_an_authentication_error(tmp_path: Path, emulator: Emulator) -> None:
    async with (
        serving(tmp_path, emulator, API_KEYS="right-key-1") as server,
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as client,
    ):
        with pytest.raises(openai.AuthenticationError) as refused:
            await client.models.list()
        assert refused.value.code == "invalid_api_key"
