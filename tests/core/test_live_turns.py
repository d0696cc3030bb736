"""Which chats are busy, told by the turns themselves."""

import asyncio
from typing import Any

from app.core.live_turns import LiveTurns


class Ending:
    """As much of a turn as is asked: its chat, and the future of its end."""

    chat_id = "chat"

    def __init__(self) -> None:
        self.closing = asyncio.get_running_loop().create_future()

    def leave(self) -> None:
        pass


def a_turn() -> Any:
    return Ending()


async def test_a_chat_is_free_as_soon_as_its_turn_is_over_however_the_loop_orders_what_follows() -> None:
    turns, turn = LiveTurns(), a_turn()
    turns.add(turn)
    turns.part_with(turn)
    assert turns.is_busy("chat")
    turn.closing.set_result(None)  # what hears of it is called in the next turn of the loop
    await turns.settled("chat", 1)
    assert not turns.is_busy("chat")


async def test_a_chat_is_busy_while_the_request_goes_on_though_its_answer_is_recorded() -> None:
    turns, turn = LiveTurns(), a_turn()
    turns.add(turn)
    turn.closing.set_result(None)
    assert turns.is_busy("chat"), "the site may still have to be told to stop"
    turns.part_with(turn)
    assert not turns.is_busy("chat")
