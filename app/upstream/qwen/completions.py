"""Sends a message and waits until its answer begins (docs/upstream-protocol.md, Completions)."""

from functools import partial

from msgspec.structs import replace

from app.clock import Clock
from app.config import Settings
from app.core.events import Event
from app.core.ids import new_uuid
from app.core.ports import Prompt
from app.errors import UpstreamCut, UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from app.upstream.http import Response
from app.upstream.qwen.answer import Answer
from app.upstream.qwen.bodies import completion_body
from app.upstream.qwen.chats import LARGEST_CHAT
from app.upstream.qwen.credentials import Credential
from app.upstream.qwen.grants import is_of_the_site, is_over, origin_of
from app.upstream.qwen.login import Login
from app.upstream.qwen.paths import CHATS, COMPLETIONS, checked_chat
from app.upstream.qwen.seam import explained
from app.upstream.qwen.transport import is_good
from app.upstream.qwen.video import VideoReply, read_stored_video

_MAYBE_ACCEPTED = {"timeout", "connection", "eof", "html", "502", "504"}  # the site may have the message nevertheless
_UNREADABLE = {"http", "size", "shape", "json", "response_id"}  # and here, unless a status says no


class Completions:
    """Begins answers of one account. `thinking_budgets` are its owner's, in tokens, by model."""

    def __init__(self, settings: Settings, clock: Clock, login: Login, *, base_url: str) -> None:
        self.thinking_budgets: dict[str, int] = {}
        self._settings = settings
        self._clock = clock
        self._login = login
        self._origin = origin_of(base_url)

    async def send(self, prompt: Prompt) -> Answer:
        """Send a message and stream the answer, as `app.core.ports.Upstream` says.

        An error is marked as accepted when the site may have taken the prompt and only its answer was lost.
        """
        checked_chat(prompt.chat_id)
        if prompt.pictures:
            ours = (tuple(filter(self._is_ours, addresses)) for addresses in prompt.pictures)
            newest = next(filter(None, ours), None)
            prompt = replace(prompt, pictures=(newest,) if newest else ())
        answer, video = await self._login.signed(partial(self._begin, prompt), chatting=True)
        if video is not None:
            answer.promise(await self._promised(video, prompt))
        return answer

    def _is_ours(self, address: str) -> bool:
        """Say whether an address is that of a picture which the site made and still gives."""
        return is_of_the_site(address, self._origin) and not is_over(address, self._clock.now())

    async def _begin(self, prompt: Prompt, credential: Credential) -> tuple[Answer, VideoReply | None]:
        """Send the message and wait for the first event, or for the plain answer that promises a video."""
        body = completion_body(
            prompt,
            seconds=int(self._clock.now().timestamp()),
            message_id=new_uuid(),
            answer_id=new_uuid(),
            thinking_budget=self.thinking_budgets.get(prompt.model),
        )
        transport = self._login.transport
        begun = transport.loop.time()
        deadline = begun + min(self._settings.first_event_timeout, self._settings.total_timeout)
        response: Response | None = None
        try:
            response = await transport.open(
                "POST",
                f"{COMPLETIONS}?chat_id={prompt.chat_id}",
                credential,
                deadline=deadline,
                body=body,
                chat_id=prompt.chat_id,
                streams=True,
            )
            answer = Answer(response, self._settings, self._login, credential, begun=begun, mode=prompt.mode)
            return answer, await answer.begin(deadline)
        except OSError as problem:
            silent = explained(problem, self._silence(), connect_seconds=self._settings.connect_timeout)
            raise _marked(silent, response) from problem
        except UpstreamError as problem:
            _marked(problem, response)
            raise

    def _silence(self) -> str:
        """Say that no answer began in time."""
        first, total = self._settings.first_event_timeout, self._settings.total_timeout
        name = "FIRST_EVENT_TIMEOUT" if first <= total else "TOTAL_TIMEOUT"
        return f"The site did not begin to answer within {min(first, total):g} s ({name})."

    async def _promised(self, video: VideoReply, prompt: Prompt) -> list[Event]:
        """Return the events of a video's answer; what the answer left out, the chat may say.

        A call of its own: where it is refused for the token it is asked again, the prompt is not.
        """
        try:
            if not video.is_whole and not (video.is_empty and prompt.is_sibling):  # whose is the newest, nobody knows
                outer = await self._login.call("GET", CHATS + prompt.chat_id, "chat", limit=LARGEST_CHAT)
                video = video.completed_by(read_stored_video(outer.data, prompt.parent_id, video))
            return video.events()
        except UpstreamError as problem:
            problem.accepted = True
            raise


def _marked(problem: UpstreamError, response: Response | None) -> UpstreamError:
    """Mark an error as accepted if the site may have the message nevertheless; `response` is None before its head."""
    if isinstance(problem, UpstreamCut | UpstreamTimeout | UpstreamUnreachable):
        may_be = problem.cause in _MAYBE_ACCEPTED
    else:
        may_be = isinstance(problem, UpstreamProtocolError) and problem.cause in _UNREADABLE
        may_be = may_be and (response is None or is_good(response))
    problem.accepted = problem.accepted or may_be
    return problem
