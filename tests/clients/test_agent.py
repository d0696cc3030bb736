"""An agent library runs its own loop of tools on this server."""

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.e2e.habits import call_text
from tests.e2e.harness import MODEL, Server


async def test_an_agent_calls_tools_and_goes_on_in_one_chat(server: Server) -> None:
    asked: list[str] = []

    def get_weather(city: str, days: int = 1) -> str:
        """Tell the weather of a city."""
        asked.append(f"{city} {days}")
        return f"{20 + days} degrees"

    script = server.emulator.script
    script.answer("I look. " + call_text())
    script.answer(call_text(arguments='{"city": "Rome", "days": "3"}'))
    script.answer("Paris 21, Rome 23.")
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any") as client:
        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))
        agent = Agent(model, instructions="Be brief.", tools=[get_weather])
        first = await agent.run("How warm is it in Paris and Rome?")
        second = await agent.run("Thanks", message_history=first.all_messages())
    assert asked == ["Paris 1", "Rome 3"]
    assert first.output == "Paris 21, Rome 23."
    assert second.output
    assert [shown.text for shown in server.emulator.shown][-1] == "Thanks"
    assert len(server.emulator.chats) == 1
