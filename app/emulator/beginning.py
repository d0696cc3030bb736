"""Puts a message and its answer into the tree, and begins what answers it: text, pictures, a report, or a video."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.emulator import hosted, model
from app.emulator.asking import Asked
from app.emulator.faults import Disturbance
from app.emulator.filming import Film
from app.emulator.generation import Generation
from app.emulator.hosted import Tool
from app.emulator.job import Job
from app.emulator.models import can_think
from app.emulator.outputs import Outputs
from app.emulator.painting import Painting
from app.emulator.research import Research
from app.emulator.script import Planned
from app.emulator.sight import Sight
from app.emulator.state import EmulatorState, Shown
from app.emulator.tree import Chat, Node, new_node
from app.emulator.usage import tokens
from app.emulator.writing import Writing

PAINTED = frozenset({"t2i", "image_edit"})


@dataclass(frozen=True, slots=True)
class Turn:
    """A completion that may begin: nothing about it is wrong."""

    chat: Chat
    asked: Asked
    sight: Sight
    planned: Planned
    disturbance: Disturbance | None


def begin(state: EmulatorState, turn: Turn, outputs: Outputs) -> Generation:
    """Start an answer that comes as a stream."""
    user, answer = _store(state, turn)
    generation = _kind(turn.asked.chat_type)(_job(state, turn, user, answer, outputs))
    state.generate(generation)
    return generation


def _kind(chat_type: str) -> type[Generation]:
    if chat_type in PAINTED:
        return Painting
    return Research if chat_type == "deep_research" else Writing


async def begin_video(state: EmulatorState, turn: Turn, outputs: Outputs) -> Film:
    """Start a video, which is made while nobody listens."""
    user, answer = _store(state, turn)
    course = state.script.next_task()
    state.tasks.begin(turn.chat, answer, turn.asked.pixels, course.states if course else None)
    job = _job(state, turn, user, answer, outputs)
    film = Film(job)
    state.generate(film)
    await job.keep()
    return film


def _job(state: EmulatorState, turn: Turn, user: Node, answer: Node, outputs: Outputs) -> Job:
    asked, planned, config = turn.asked, turn.planned, turn.asked.config
    now = model.newest(asked.text)
    tools = _tools(state, turn, now)
    said = model.answer(turn.sight.seen, turn.sight.files, turn.sight.earlier)
    thoughts = said.thoughts if planned.thinking is None else tuple(planned.thinking)
    text = hosted.answer(now) if _searches(tools) else said.text
    new = state.options.era == "2026"
    answer.summary = new and config.get("thinking_format") == "summary"

    async def keep() -> None:
        turn.chat.name_itself()
        await state.storage.keep_turn(turn.chat, user, answer)

    async def promise(whole: Callable[[], Node]) -> None:
        if state.storage.lasts:
            await state.storage.keep_turn(turn.chat, user, whole())

    return Job(
        chat=turn.chat,
        user=user,
        answer=answer,
        asked=now,
        text=text if planned.text is None else planned.text,
        thoughts=thoughts if config.get("thinking_enabled") and can_think(asked.model) else (),
        tools=tools,
        shown_tokens=sum(tokens(shown) for _, shown in turn.sight.seen),
        image_tokens=sum(file.tokens for file in turn.sight.files),
        pixels=asked.pixels,
        outputs=outputs,
        planned=planned,
        disturbance=Disturbance.EMPTY if asked.role == "system" else turn.disturbance,
        index="0" if new else None,
        phases="output_schema" in config,
        summary=answer.summary,
        chunk_delay=state.options.chunk_delay,
        keep=keep,
        promise=promise,
    )


def _store(state: EmulatorState, turn: Turn) -> tuple[Node, Node]:
    """Put the message and its empty answer into the tree, and remember what the model is shown."""
    chat, asked = turn.chat, turn.asked
    user = new_node("user", asked.parent_id, asked.text, asked.model, asked.config)
    answer = new_node("assistant", user.id, "", asked.model, asked.config)
    user.files = asked.files
    user.chat_type = answer.chat_type = asked.chat_type
    answer.phase = None if asked.chat_type in PAINTED else "answer"
    chat.add(user)
    chat.add(answer)
    state.remember(
        Shown(
            chat_id=chat.id,
            parent_id=asked.parent_id,
            user_action=asked.user_action,
            model=asked.model,
            feature_config=asked.config,
            text=asked.text,
            seen=turn.sight.seen,
            chat_type=asked.chat_type,
            sizes=asked.sizes,
            files=turn.sight.files,
        )
    )
    return user, answer


def _tools(state: EmulatorState, turn: Turn, now: str) -> tuple[Tool, ...]:
    """Return the hosted tools that are used: planned ones, and a search where the mode or the text asks for one."""
    planned = list(turn.planned.tools)
    disturbing = hosted.DISTURBING.get(turn.disturbance) if turn.disturbance is not None else None
    if disturbing is not None:
        planned.append(Tool(disturbing))
    by_itself = (
        turn.asked.config.get("auto_search") is True
        and turn.planned.text is None
        and state.settings["tools_enabled"]["web_search"]
        and hosted.wants_search(now)
    )
    if not _searches(planned) and (turn.asked.chat_type == "search" or by_itself):
        planned.append(Tool("web_search"))
    return tuple(planned)


def _searches(tools: Sequence[Tool]) -> bool:
    return any(tool.name == "web_search" for tool in tools)
