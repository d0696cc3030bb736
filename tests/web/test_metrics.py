"""What /metrics tells: how much goes on, never what is said or by whom."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.core.events import Usage
from app.core.watch import AnswerWatch
from app.emulator import Emulator
from app.telemetry.metrics import Metrics
from app.telemetry.page import ServerState, write_page
from tests.core.fakes import FakeClock
from tests.e2e.habits import call_text
from tests.e2e.harness import MODEL, Server, serving

HI = [{"role": "user", "content": "hi"}]
QUIET = ServerState(0, 0, False, False, None, None, None)
Values = dict[str, float]


def values(page: str, *, but: str = "gen_ai_operation_name gen_ai_provider_name") -> Values:
    """Return every value by its name and labels, labels left out that are empty or always the same."""
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = [text for name, text in sample.labels.items() if text and name not in but.split()]
            found[" ".join([sample.name, *labels])] = sample.value
    return found


async def scrape(server: Server, **headers: str) -> Values:
    async with server.client.session.get(f"{server.url}/metrics", headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        return values(await response.text())


async def scrape_with(server: Server, name: str, value: float = 1) -> Values:
    """Scrape until a value is there: a client has the end of its stream before the request is over."""
    async with asyncio.timeout(5):
        while (told := await scrape(server)).get(name) != value:
            await asyncio.sleep(0.005)
    return told


async def test_an_answer_is_counted_with_its_times_and_tokens(server: Server) -> None:
    server.emulator.script.answer("One two three.", pieces=["One ", "two ", "three."])
    reply = await server.client.chat(HI, stream=True, enable_thinking=False, stream_options={"include_usage": True})
    usage = reply.chunks[-1]["usage"]
    told = await scrape_with(server, "qwen_thread_requests_total /v1/chat/completions 2xx")
    assert told[f"gen_ai_client_token_usage_sum {MODEL} input"] == usage["prompt_tokens"]
    assert told[f"gen_ai_client_token_usage_sum {MODEL} output"] == usage["completion_tokens"]
    assert told[f"gen_ai_server_request_duration_seconds_count {MODEL}"] == 1
    assert told[f"gen_ai_server_time_to_first_token_seconds_count {MODEL}"] == 1
    assert told[f"gen_ai_server_time_per_output_token_seconds_count {MODEL}"] == 1
    assert 1 <= told[f"gen_ai_client_operation_time_per_output_chunk_seconds_count {MODEL}"] <= 3


async def test_words_that_were_held_back_until_the_model_could_not_be_asked_again_are_counted(server: Server) -> None:
    parameters = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
    tool = {"type": "function", "function": {"name": "look", "parameters": parameters}}
    server.emulator.script.answer(call_text("look", "{}"))
    server.emulator.script.fault("rate_limited")
    reply = await server.client.chat(HI, tools=[tool], enable_thinking=False)
    assert "<name>look</name>" in reply.text
    told = await scrape_with(server, "qwen_thread_requests_total /v1/chat/completions 2xx")
    assert told[f"gen_ai_server_time_to_first_token_seconds_count {MODEL}"] == 1


async def test_matches_are_counted_by_their_kind(server: Server) -> None:
    talk = server.conversation()
    for text in ("My dog is called Rex.", "What is my dog called?", "And now?"):
        await talk.say(text)
    told = await scrape(server)
    assert (told["qwen_thread_session_matches_total new"], told["qwen_thread_session_matches_total exact"]) == (1, 2)
    assert (told["qwen_thread_stored_sessions"], told["qwen_thread_stored_nodes"]) == (1, 3)
    assert told["qwen_thread_pending_deletions"] == 0
    assert told["qwen_thread_database_bytes"] > 4096
    assert 29 < told["qwen_thread_token_days_left"] <= 30


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_fails_is_counted_by_its_code(server: Server, stream: bool) -> None:
    server.emulator.script.answer("One two.", pieces=["One ", "two."], fault="error_in_stream_text")
    await server.client.chat(HI, stream=stream, enable_thinking=False)
    told = await scrape_with(server, f"gen_ai_server_request_duration_seconds_count upstream_busy {MODEL}")
    assert told["qwen_thread_upstream_errors_total upstream_busy"] == 1
    assert f"gen_ai_server_request_duration_seconds_count {MODEL}" not in told


async def test_an_error_that_is_mended_counts_for_the_site_but_not_for_the_request(server: Server) -> None:
    talk = server.conversation()
    await talk.say("hi")
    server.emulator.script.fault("chat_not_found")
    assert (await talk.say("again")).status == 200
    told = await scrape(server)
    assert told["qwen_thread_upstream_errors_total upstream_chat_gone"] == 1
    assert told[f"gen_ai_server_request_duration_seconds_count {MODEL}"] == 2
    assert not [name for name in told if name.endswith(f"upstream_chat_gone {MODEL}")]


async def test_a_client_that_leaves_is_counted_as_such(server: Server) -> None:
    hold = server.emulator.script.hold("never read")
    asking = asyncio.create_task(server.client.chat(HI))
    await hold.reached()
    told = await scrape(server)
    assert (told["qwen_thread_running_answers"], told["qwen_thread_waiting_requests"]) == (1, 0)
    asking.cancel()
    told = await scrape_with(server, "qwen_thread_requests_total /v1/chat/completions client_left")
    hold.release()
    assert told[f"gen_ai_server_request_duration_seconds_count client_left {MODEL}"] == 1
    assert told["qwen_thread_running_answers"] == 0


async def test_a_block_shows_until_it_ends(tmp_path: Path, emulator: Emulator) -> None:
    async with serving(tmp_path, emulator, BLOCK_PAUSE_SECONDS="0") as server:
        server.emulator.script.fault("anti_bot")
        await server.client.chat(HI)
        told = await scrape(server)
        assert (told["qwen_thread_account_problem"], told["qwen_thread_account_blocked"]) == (1, 1)
        async with asyncio.timeout(10):  # a call of the server itself may be the one that tries the site again
            while (await server.client.chat(HI)).status != 200:
                pass
        told = await scrape(server)
        assert (told["qwen_thread_account_problem"], told["qwen_thread_account_blocked"]) == (0, 0)


async def test_labels_hold_nothing_that_a_client_makes_up(server: Server) -> None:
    for number in range(5):
        await server.client.chat(HI, model=f"made-up-{number}")
        await server.client.get(f"/made-up/{number}")
        await server.client.get(f"/v1/models/made-up-{number}")
    told = await scrape(server)
    assert not [name for name in told if "made-up" in name]
    assert told["qwen_thread_requests_total other 4xx"] == 5
    assert told["qwen_thread_requests_total /v1/models/{model} 4xx"] == 5
    assert told["gen_ai_server_request_duration_seconds_count model_not_found other"] == 5


async def test_with_keys_the_metrics_need_one(tmp_path: Path, emulator: Emulator) -> None:
    async with serving(tmp_path, emulator, API_KEYS="the-right-key") as server:
        refused = await server.client.get("/metrics")
        assert (refused.status, refused.error["code"]) == (401, "invalid_api_key")
        assert await scrape(server, Authorization="Bearer the-right-key")


async def test_without_keys_only_loopback_names_are_told(server: Server) -> None:
    refused = await server.client.get("/metrics", Host="evil.example")
    assert (refused.status, refused.error["code"]) == (403, "forbidden_host")


def test_the_times_are_those_of_the_clock() -> None:
    clock, metrics = FakeClock(), Metrics("qwen")
    watch = AnswerWatch(metrics, clock)
    clock.seconds = 1.0
    watch.chosen("m")
    watch.placed("exact")
    for at in (3.0, 3.5, 5.0):
        clock.seconds = at
        watch.chunk()
    watch.spent(Usage(7, 9), whole=True)
    clock.seconds = 6.0
    watch.close(None)
    told = values(write_page(metrics.families, QUIET).decode())
    assert told["gen_ai_server_time_to_first_token_seconds_sum m"] == 3.0
    assert told["gen_ai_client_operation_time_per_output_chunk_seconds_sum m"] == 2.0
    assert told["gen_ai_client_operation_time_per_output_chunk_seconds_count m"] == 2
    assert told["gen_ai_server_time_per_output_token_seconds_sum m"] == 0.5
    assert told["gen_ai_server_request_duration_seconds_sum m"] == 6.0


def test_a_bucket_holds_what_lies_in_those_before_it_and_on_its_bound() -> None:
    metrics = Metrics("qwen")
    answer = metrics.answer("m")
    for waited in (0.001, 0.0011, 3.0, 500.0):
        answer.first_chunk(waited)
    told = values(write_page(metrics.families, QUIET).decode())
    bucket = "gen_ai_server_time_to_first_token_seconds_bucket m"
    assert [told[f"{bucket} {bound}"] for bound in (0.001, 0.005, 2.5, 5.0, 120.0, "+Inf")] == [1, 2, 2, 3, 3, 4]
    assert told["gen_ai_server_time_to_first_token_seconds_count m"] == 4


@pytest.mark.no_cover  # for its volume
def test_models_that_come_and_go_do_not_add_up() -> None:
    metrics = Metrics("qwen")
    for number in range(1000):
        metrics.answer(f"model-{number}").placed("new")
    models = {
        name
        for name in values(write_page(metrics.families, QUIET).decode())
        if name.startswith("gen_ai_client_token_usage_sum")
    }
    assert len(models) < 500
    assert "gen_ai_client_token_usage_sum other input" in models
