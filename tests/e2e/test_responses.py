"""The Responses API, by the client that most people have: a response is gone on from by its id."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseInputParam
from pydantic import BaseModel

from tests.e2e.harness import MODEL, Server, emulating, serving
from tests.samples import PNG, data_url

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"
WEATHER: openai.types.responses.FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell how warm it is in a city.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
NAMED_CALL = '<tool_use>\n<name>get_weather</name>\n<arguments>{{"city": "{city}"}}</arguments>\n</tool_use>'


def client_of(server: Server, key: str = "any") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(server) as client:
        yield client


async def say(
    client: AsyncOpenAI, given: str | ResponseInputParam, after: Response | None = None, /, **fields: Any
) -> Response:
    previous = after.id if after is not None else openai.omit
    made: Response = await client.responses.create(model=MODEL, input=given, previous_response_id=previous, **fields)
    return made


def functions_of(said: Response) -> list[ResponseFunctionToolCall]:
    return [item for item in said.output if item.type == "function_call"]


async def matched(client: AsyncOpenAI, text: str | ResponseInputParam, after: Response | None = None) -> str:
    """Say something; return how its place was found."""
    previous = after.id if after is not None else openai.omit
    raw = await client.responses.with_raw_response.create(model=MODEL, input=text, previous_response_id=previous)
    return str(raw.headers["X-Session-Match"])


async def test_a_response_is_gone_on_from_in_its_chat_and_only_the_new_is_sent(
    client: AsyncOpenAI, server: Server
) -> None:
    first = await say(client, DOG)
    second = await say(client, ASK, first)
    third = await say(client, "How many turns do you see?", second)
    assert (second.output_text, second.previous_response_id) == ("Your dog is Waldo.", first.id)
    assert "3" in third.output_text
    assert [shown.text for shown in server.emulator.shown] == [DOG, ASK, "How many turns do you see?"]
    assert len(server.emulator.chats) == 1
    assert await matched(client, "Thanks", third) == "exact"


async def test_a_response_has_what_its_request_said_and_what_the_site_counted(client: AsyncOpenAI) -> None:
    said = await say(
        client,
        DOG,
        instructions="Be brief.",
        metadata={"topic": "dogs"},
        max_output_tokens=500,
        reasoning={"effort": "high", "summary": "auto"},
        user="anna",
        temperature=0.5,
    )
    assert (said.status, said.error, said.incomplete_details) == ("completed", None, None)
    assert (said.instructions, said.metadata, said.user) == ("Be brief.", {"topic": "dogs"}, "anna")
    assert (said.temperature, said.max_output_tokens, said.model) == (None, 500, MODEL)
    assert said.reasoning is not None
    assert said.reasoning.effort == "high"
    assert [item.type for item in said.output] == ["reasoning", "message"]
    assert said.usage is not None
    assert said.usage.total_tokens == said.usage.input_tokens + said.usage.output_tokens
    assert said.usage.output_tokens_details.reasoning_tokens > 0


async def test_a_branch_from_an_earlier_response_knows_nothing_of_what_followed_it(
    client: AsyncOpenAI, server: Server
) -> None:
    first = await say(client, DOG)
    await say(client, "My cat is called Mimi.", first)
    branch = await say(client, "How many turns do you see?", first)
    again = await say(client, "What is my cat called?", branch)
    assert "2" in branch.output_text
    assert "Mimi" not in again.output_text
    _, second, third, _ = server.emulator.shown
    assert (second.parent_id, second.chat_id) == (third.parent_id, third.chat_id)
    assert (second.user_action, third.user_action) == ("chat", "edit")


async def test_a_stream_goes_on_from_a_response_and_can_be_gone_on_from(client: AsyncOpenAI, server: Server) -> None:
    first = await say(client, DOG)
    async with client.responses.stream(model=MODEL, input=ASK, previous_response_id=first.id) as stream:
        kinds = [event.type async for event in stream]
        second = await stream.get_final_response()
    third = await say(client, "Thanks", second)
    assert second.output_text == "Your dog is Waldo."
    assert (kinds[0], kinds[1], kinds[-1]) == ("response.created", "response.in_progress", "response.completed")
    assert third.previous_response_id == second.id
    assert [shown.text for shown in server.emulator.shown] == [DOG, ASK, "Thanks"]


async def test_a_response_is_gone_on_from_after_a_restart(tmp_path: Path) -> None:
    async with emulating() as emulator:
        async with serving(tmp_path, emulator) as server, client_of(server) as client:
            first = await say(client, DOG)
        async with serving(tmp_path, emulator) as server, client_of(server) as client:
            second = await say(client, ASK, first)
        assert second.output_text == "Your dog is Waldo."
        assert [shown.text for shown in emulator.shown] == [DOG, ASK]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("store_text", ["0", "1"])
async def test_a_loop_of_tools_sends_the_results_only(tmp_path: Path, stream: bool, store_text: str) -> None:
    async def ask(given: str | ResponseInputParam, after: Response | None = None) -> Response:
        if not stream:
            return await say(user, given, after, tools=[WEATHER])
        previous = after.id if after is not None else openai.omit
        async with user.responses.stream(
            model=MODEL, input=given, previous_response_id=previous, tools=[WEATHER]
        ) as events:
            whole: Response = await events.get_final_response()
            return whole

    async with (
        emulating() as emulator,
        serving(tmp_path, emulator, STORE_TEXT=store_text) as server,
        client_of(server) as user,
    ):
        calls = "\n".join(NAMED_CALL.format(city=city) for city in ("Paris", "Rome"))
        emulator.script.answer(f"I look.\n\n{calls}")
        emulator.script.answer(NAMED_CALL.format(city="Oslo"))
        emulator.script.answer("In Rome.")
        called = await ask("Where is it warmer, in Paris, in Rome or in Oslo?")
        assert called.output_text == "I look."
        functions = [item for item in called.output if item.type == "function_call"]
        assert [json.loads(call.arguments) for call in functions] == [{"city": "Paris"}, {"city": "Rome"}]
        degrees = {"Paris": "22 degrees", "Rome": "31 degrees"}
        results: ResponseInputParam = [
            {
                "type": "function_call_output",
                "call_id": call.call_id,
                "output": degrees[json.loads(call.arguments)["city"]],
            }
            for call in reversed(functions)
        ]
        again = await ask(results, called)
        [oslo] = [item for item in again.output if item.type == "function_call"]
        answered = await ask([{"type": "function_call_output", "call_id": oslo.call_id, "output": "-3 degrees"}], again)
        assert answered.output_text == "In Rome."
        await ask("Thanks", answered)
        question, first, second, thanks = emulator.shown
        assert "Where is it warmer" in question.text
        name = "get_weather" if store_text == "1" else "call 1"
        assert first.text.startswith(f"<tool_use_result>\n<name>{name}</name>\n<result>22 degrees</result>")
        assert first.text.count("<tool_use_result>") == 2
        assert f"<name>{name}</name>\n<result>-3 degrees</result>" in second.text
        assert thanks.text == "Thanks"
        assert len(emulator.chats) == 1


async def test_a_client_that_sends_the_history_finds_what_one_that_names_responses_made(
    client: AsyncOpenAI, server: Server
) -> None:
    server.emulator.script.answer(f"I look.\n\n{NAMED_CALL.format(city='Rome')}")
    server.emulator.script.answer("31 degrees.")
    asked = await say(client, "How warm is it in Rome?", tools=[WEATHER])
    [call] = [item for item in asked.output if item.type == "function_call"]
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "31 degrees"}
    answered = await say(client, [result], asked, tools=[WEATHER])
    history: list[Any] = [{"role": "user", "content": "How warm is it in Rome?"}]
    history += [item.model_dump(exclude_none=True) for item in asked.output]
    history += [result, *[item.model_dump(exclude_none=True) for item in answered.output]]
    history.append({"role": "user", "content": "Thanks"})
    raw = await client.responses.with_raw_response.create(model=MODEL, input=history, tools=[WEATHER], store=False)
    assert (raw.headers["X-Session-Match"], raw.headers["X-Ignored-Params"]) == ("exact", "store")
    assert server.emulator.shown[-1].text == "Thanks"
    assert len(server.emulator.chats) == 1


async def test_a_client_may_refer_to_what_was_answered(client: AsyncOpenAI, server: Server) -> None:
    server.emulator.script.answer(f"I look.\n\n{NAMED_CALL.format(city='Rome')}")
    history: list[Any] = [{"role": "user", "content": "How warm is it in Rome?"}]
    called = await say(client, history, tools=[WEATHER])
    history += [{"type": "item_reference", "id": item.id} for item in called.output]
    [call] = functions_of(called)
    history.append({"type": "function_call_output", "call_id": call.call_id, "output": "31 degrees"})
    answered = await say(client, history, tools=[WEATHER])
    history += [{"type": "item_reference", "id": item.id} for item in answered.output]
    raw = await client.responses.with_raw_response.create(
        model=MODEL, input=[*history, {"role": "user", "content": "Thanks"}], tools=[WEATHER]
    )
    assert raw.headers["X-Session-Match"] == "exact"
    for missing in (f"{functions_of(called)[0].id}9", "fc_0123456789abcdef0123456789abcdef_0"):
        with pytest.raises(openai.BadRequestError) as unknown:
            await say(client, [{"type": "item_reference", "id": missing}])
        assert unknown.value.param == "input[0].id"
    question, result, thanks = server.emulator.shown
    assert result.text.endswith("<name>get_weather</name>\n<result>31 degrees</result>\n</tool_use_result>")
    assert thanks.text == "Thanks"
    assert question.chat_id == result.chat_id == thanks.chat_id


async def test_a_reference_is_to_what_its_owner_was_answered_and_what_is_kept(tmp_path: Path) -> None:
    async with emulating() as emulator:
        settings = {"API_KEYS": "anna:anna-key-1,ben:ben-key-12", "STORE_TEXT": "0"}
        async with (
            serving(tmp_path, emulator, **settings) as server,
            client_of(server, "anna-key-1") as anna,
            client_of(server, "ben-key-12") as ben,
        ):
            said = await say(anna, DOG, reasoning={"effort": "none"})
            refers: list[Any] = [
                {"role": "user", "content": DOG},
                {"type": "item_reference", "id": said.output[0].id},
                {"role": "user", "content": ASK},
            ]
            with pytest.raises(openai.BadRequestError) as unknown:
                await say(ben, refers)
            assert unknown.value.param == "input[1].id"
            with pytest.raises(openai.ConflictError) as unkept:
                await say(anna, refers)
            assert unkept.value.code == "texts_not_kept"


async def test_a_client_that_sends_the_whole_history_is_continued_natively(client: AsyncOpenAI, server: Server) -> None:
    history: list[Any] = [{"role": "developer", "content": "Today is Monday. Be brief."}]
    for text in (DOG, ASK):
        history.append({"role": "user", "content": [{"type": "input_text", "text": text}]})
        said = await say(client, history, store=False, instructions="Be kind.", include=["reasoning.encrypted_content"])
        history += [item.model_dump(exclude_none=True) for item in said.output]
        history[0] = {"role": "developer", "content": "Today is Tuesday. Be brief."}
    assert history[-1]["content"][0]["text"] == "Your dog is Waldo."
    opening, follow_up = server.emulator.shown
    assert opening.text == (
        f"<instructions>\nBe kind.\n</instructions>\n\n<system>\nToday is Monday. Be brief.\n</system>\n\n{DOG}"
    )
    assert (follow_up.text, follow_up.chat_id) == (ASK, opening.chat_id)


async def test_instructions_are_for_one_response_and_system_messages_stay(client: AsyncOpenAI, server: Server) -> None:
    developer: Any = {"role": "developer", "content": "Be brief."}
    first = await say(client, [developer, {"role": "user", "content": DOG}], instructions="Be kind.")
    same = await say(client, "One.", first, instructions="Be kind.")
    other = await say(client, "Two.", same, instructions="Be stern.")
    none = await say(client, "Three.", other)
    await say(client, [developer | {"content": "Be loud."}, {"role": "user", "content": "Four."}], none)
    texts = [shown.text for shown in server.emulator.shown]
    assert texts[1:] == [
        "One.",
        "These instructions replace the ones given earlier:\n<instructions>\nBe stern.\n</instructions>\n\nTwo.",
        "The instructions given earlier no longer apply.\n\nThree.",
        "<system>\nBe loud.\n</system>\n\nFour.",
    ]
    assert len(server.emulator.chats) == 1


async def test_what_a_client_did_not_say_again_has_not_changed(client: AsyncOpenAI, server: Server) -> None:
    first = await say(client, [{"role": "system", "content": "Be brief."}, {"role": "user", "content": DOG}])
    await say(client, ASK, first)
    assert server.emulator.shown[-1].text == ASK


async def test_answers_among_the_new_messages_are_told(client: AsyncOpenAI, server: Server) -> None:
    first = await say(client, DOG)
    new: Any = [
        {"role": "user", "content": "Name a colour."},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Blue."}]},
        {"role": "user", "content": ASK},
    ]
    assert await matched(client, new, first) == "branch"
    text = server.emulator.shown[-1].text
    assert "<user>\nName a colour.\n</user>\n\n<assistant>\nBlue.\n</assistant>" in text
    assert text.endswith(ASK)


@pytest.mark.parametrize("name", ["resp_0123456789abcdef0123456789abcdef", "resp_1", "chatcmpl-1", "", "resp_é"])
async def test_a_response_that_nobody_knows_is_not_found(client: AsyncOpenAI, server: Server, name: str) -> None:
    reply = await server.client.post("/v1/responses", {"model": MODEL, "input": ASK, "previous_response_id": name})
    assert (reply.status, reply.error["code"]) == (404, "previous_response_not_found")
    assert reply.error["param"] == "previous_response_id"
    assert reply.error["message"].startswith(f"Previous response with id '{name}' not found.")
    assert not server.emulator.shown


async def test_a_response_is_its_owners(tmp_path: Path) -> None:
    keys = "anna:anna-key-1,anna:anna-key-2,ben:ben-key-12"
    async with (
        emulating() as emulator,
        serving(tmp_path, emulator, API_KEYS=keys) as server,
        client_of(server, "anna-key-1") as anna,
        client_of(server, "anna-key-2") as anna_elsewhere,
        client_of(server, "ben-key-12") as ben,
    ):
        first = await say(anna, DOG)
        with pytest.raises(openai.NotFoundError) as refused:
            await say(ben, ASK, first)
        assert refused.value.code == "previous_response_not_found"
        assert (await say(anna_elsewhere, ASK, first)).output_text == "Your dog is Waldo."


async def test_without_stored_texts_a_response_is_gone_on_from_while_its_chat_is_there(tmp_path: Path) -> None:
    async with (
        emulating() as emulator,
        serving(tmp_path, emulator, STORE_TEXT="0") as server,
        client_of(server) as client,
    ):
        first = await say(client, DOG)
        second = await say(client, ASK, first)
        assert second.output_text == "Your dog is Waldo."
        await emulator.delete_chat(emulator.shown[0].chat_id)
        with pytest.raises(openai.ConflictError) as unkept:
            await client.responses.retrieve(first.id)
        assert unkept.value.code == "texts_not_kept"
        with pytest.raises(openai.ConflictError) as refused:
            await say(client, ASK, second)
        assert (refused.value.code, refused.value.param) == ("texts_not_kept", "previous_response_id")
        assert len(emulator.chats) == 0


async def test_a_lost_chat_is_told_to_a_new_one_again_and_again(client: AsyncOpenAI, server: Server) -> None:
    said = await say(client, DOG, instructions="Be brief.")
    said = await say(client, "Name a colour.", said)
    for text in (ASK, "And again: What is my dog called?"):
        await server.emulator.delete_chat(server.emulator.shown[-1].chat_id)
        said = await say(client, text, said)
        assert "Waldo" in said.output_text
    last = server.emulator.shown[-1].text
    assert last.count(f"<user>\n{DOG}\n</user>") == 1
    assert last.count("<conversation>") == 1
    assert "instructions" not in last
    assert last.index(DOG) < last.index("Name a colour.") < last.index(ASK) < last.index("And again")
    assert (await say(client, "Thanks", said)).previous_response_id == said.id
    assert server.emulator.shown[-1].text == "Thanks"


async def test_chats_that_are_deleted_after_each_answer_are_replayed(tmp_path: Path) -> None:
    async with (
        emulating() as emulator,
        serving(tmp_path, emulator, IS_DELETE="1") as server,
        client_of(server) as client,
    ):
        first = await say(client, DOG)
        second = await say(client, "Name a colour.", first)
        third = await say(client, ASK, second)
        assert "Waldo" in third.output_text
        assert emulator.shown[-1].text.count("<conversation>") == 1


async def test_a_lost_chat_in_a_loop_of_tools_is_told_with_its_calls(client: AsyncOpenAI, server: Server) -> None:
    server.emulator.script.answer(f"I look.\n\n{NAMED_CALL.format(city='Rome')}")
    asked = await say(client, "How warm is it in Rome?", tools=[WEATHER])
    [call] = [item for item in asked.output if item.type == "function_call"]
    await server.emulator.delete_chat(server.emulator.shown[-1].chat_id)
    server.emulator.script.answer("31 degrees.")
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "31 degrees"}
    answered = await say(client, [result], asked, tools=[WEATHER])
    text = server.emulator.shown[-1].text
    assert "<assistant>\nI look.\n\n<tool_use>\n<name>get_weather</name>" in text
    assert text.endswith("<name>get_weather</name>\n<result>31 degrees</result>\n</tool_use_result>")
    await say(client, "Thanks", answered, tools=[WEATHER])
    assert server.emulator.shown[-1].text == "Thanks"


async def test_an_answer_that_was_asked_for_again_is_gone_on_from_by_the_first_ones_id(
    client: AsyncOpenAI, server: Server
) -> None:
    server.emulator.script.answer("No JSON.")
    server.emulator.script.answer('{"name": "Waldo"}')
    first = await say(client, DOG, text={"format": {"type": "json_object"}})
    assert json.loads(first.output_text) == {"name": "Waldo"}
    second = await say(client, ASK, first)
    assert second.output_text
    _, again, last = server.emulator.shown
    assert (last.text, last.chat_id) == (ASK, again.chat_id)
    await server.emulator.delete_chat(last.chat_id)
    await say(client, "Thanks", second)
    told = server.emulator.shown[-1].text
    assert told.count("<user>") == 2
    assert '<assistant>\n{"name":"Waldo"}\n</assistant>' in told
    assert again.text not in told


class Dog(BaseModel):
    name: str


async def test_a_schema_is_parsed_by_the_client(client: AsyncOpenAI, server: Server) -> None:
    server.emulator.script.answer('{"name": "Waldo"}')
    parsed = await client.responses.parse(model=MODEL, input=DOG, text_format=Dog)
    assert parsed.output_parsed == Dog(name="Waldo")
    assert '"name"' in server.emulator.shown[-1].text


async def test_pictures_are_shown_and_not_again(client: AsyncOpenAI, server: Server) -> None:
    shown: Any = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": data_url(PNG, "image/png"), "detail": "auto"},
            ],
        }
    ]
    first = await say(client, shown)
    await say(client, "And now?", first)
    opening, follow_up = server.emulator.shown
    assert len(opening.files) == 1
    assert (follow_up.text, follow_up.files) == ("And now?", [])
    await server.emulator.delete_chat(opening.chat_id)
    await say(client, "And then?", first)
    assert "What is this?\n[attached, not shown again: image" in server.emulator.shown[-1].text


async def test_an_answer_that_is_cut_is_incomplete(client: AsyncOpenAI, server: Server) -> None:
    first = await say(client, DOG)
    second = await say(client, "count to 400", first, max_output_tokens=60)
    assert second.status == "incomplete"
    assert second.incomplete_details is not None
    assert second.incomplete_details.reason == "max_output_tokens"
    assert (await say(client, ASK, second)).output_text == "Your dog is Waldo."


async def test_errors_are_the_clients_own_exceptions(client: AsyncOpenAI, server: Server) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.responses.create(model="nothing", input="hi")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        await say(client, "hi", background=True)
    assert bad.value.param == "background"
    with pytest.raises(openai.BadRequestError) as too_long:
        await say(client, "x" * 5_000_000)
    assert (too_long.value.code, too_long.value.param) == ("context_length_exceeded", "input")
    server.emulator.script.fault("rate_limited")
    with pytest.raises(openai.RateLimitError):
        await say(client, "hi")


async def test_a_failed_response_cannot_be_gone_on_from(client: AsyncOpenAI, server: Server) -> None:
    first = await say(client, DOG)
    server.emulator.script.answer("", pieces=["One "], fault="error_in_stream")
    stream = await client.responses.create(model=MODEL, input="Go on.", previous_response_id=first.id, stream=True)
    seen: list[Any] = []
    with pytest.raises(openai.APIError):
        async for event in stream:
            seen.append(event)
    assert seen[0].type == "response.created"
    assert (await client.responses.retrieve(seen[0].response.id)).status == "failed"
    with pytest.raises(openai.ConflictError) as refused:
        await say(client, ASK, seen[0].response)
    assert refused.value.code == "response_unfinished"
    assert (await say(client, ASK, first)).output_text == "Your dog is Waldo."


async def test_a_response_that_is_still_written_cannot_be_gone_on_from(client: AsyncOpenAI, server: Server) -> None:
    hold = server.emulator.script.hold("", pieces=["One ", "two."], before=1)
    stream = await client.responses.create(model=MODEL, input=DOG, stream=True)
    begun: Any = await anext(aiter(stream))
    with pytest.raises(openai.ConflictError) as refused:
        await say(client, ASK, begun.response)
    assert refused.value.code == "response_unfinished"
    hold.release()
    async for _ in stream:
        pass
    assert await matched(client, ASK, begun.response) == "exact"


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_kept_of_a_response_can_be_read_again(client: AsyncOpenAI, server: Server, stream: bool) -> None:
    server.emulator.script.answer(f"I look.\n\n{NAMED_CALL.format(city='Rome')}", thinking=["Hm."])
    if stream:
        async with client.responses.stream(model=MODEL, input="How warm is it in Rome?", tools=[WEATHER]) as events:
            said: Response = await events.get_final_response()
    else:
        said = await say(client, "How warm is it in Rome?", tools=[WEATHER])
    kept = await client.responses.retrieve(said.id)
    assert (kept.id, kept.status, kept.model, kept.output_text) == (said.id, "completed", MODEL, "I look.")
    if not stream:  # its client adds what it parsed
        assert [item.to_dict() for item in kept.output] == [item.to_dict() for item in said.output]
    assert [(item.id, item.type) for item in kept.output] == [(item.id, item.type) for item in said.output]
    assert kept.instructions is None
    assert abs(kept.created_at - said.created_at) <= 1


async def test_what_is_kept_says_how_a_response_ended(client: AsyncOpenAI, server: Server) -> None:
    cut = await say(client, "count to 400", max_output_tokens=60)
    kept = await client.responses.retrieve(cut.id)
    assert kept.status == "incomplete"
    assert kept.incomplete_details is not None
    assert kept.incomplete_details.reason == "max_output_tokens"
    server.emulator.script.answer("", pieces=["One ", "two ", "three ", "four"], fault="error_in_stream")
    stream = await client.responses.create(model=MODEL, input="hi", stream=True)
    begun: Any = await anext(aiter(stream))
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass
    broken = await client.responses.retrieve(begun.response.id)
    assert (broken.status, broken.output_text) == ("incomplete", "One two ")
    assert await matched(client, "Go on.", begun.response) == "exact"


async def test_a_response_that_is_not_there_or_not_over_cannot_be_read(client: AsyncOpenAI, server: Server) -> None:
    for name in ("resp_0123456789abcdef0123456789abcdef", "other"):
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.responses.retrieve(name)
        assert unknown.value.code == "response_not_found"
    hold = server.emulator.script.hold("", pieces=["One ", "two."], before=1)
    stream = await client.responses.create(model=MODEL, input=DOG, stream=True)
    begun: Any = await anext(aiter(stream))
    with pytest.raises(openai.ConflictError) as unfinished:
        await client.responses.retrieve(begun.response.id)
    assert unfinished.value.code == "response_unfinished"
    hold.release()
    async for _ in stream:
        pass
    assert (await client.responses.retrieve(begun.response.id)).output_text == "One two."


async def test_two_at_once_below_one_response_never_mix(client: AsyncOpenAI, server: Server) -> None:
    first = await say(client, DOG)
    hold = server.emulator.script.hold("", pieces=["One ", "two."], before=1)
    stream = await client.responses.create(model=MODEL, input="Count.", previous_response_id=first.id, stream=True)
    events = aiter(stream)
    await anext(events)
    other = await say(client, ASK, first)
    hold.release()
    async for _ in events:
        pass
    assert "Waldo" in other.output_text
    assert len(server.emulator.chats) == 2


async def test_the_frames_of_a_stream_are_numbered_and_named(server: Server) -> None:
    body = {"model": MODEL, "input": "hi", "stream": True}
    async with server.client.session.post(f"{server.url}/v1/responses", json=body) as response:
        raw = (await response.read()).decode()
    frames = [frame.split("\n") for frame in raw.removesuffix("\n\n").split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [name.removeprefix("event: ") for name, _ in frames] == [event["type"] for event in events]
    assert "[DONE]" not in raw
