"""The adapter itself: what the program asks of an upstream, said in the site's protocol."""

import logging
import re
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any, Literal

from msgspec.structs import replace

from app.clock import Clock
from app.config import Settings
from app.core.attachments import FileContent
from app.core.events import Event
from app.core.ids import new_uuid
from app.core.ports import (
    AccountStatus,
    ChatRecord,
    ChatSummary,
    Download,
    Meter,
    Mode,
    ModelInfo,
    Prompt,
    UploadedFile,
    VideoState,
)
from app.errors import (
    ChatGone,
    UpstreamCut,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.upstream.qwen.answer import Answer
from app.upstream.qwen.bodies import completion_body, create_body
from app.upstream.qwen.chats import read_list, read_record
from app.upstream.qwen.credentials import Credential
from app.upstream.qwen.files import Files, Patience
from app.upstream.qwen.grants import is_of_the_site, is_over, origin_of
from app.upstream.qwen.login import Login
from app.upstream.qwen.models import read_models, read_thinking_budgets, switched_on
from app.upstream.qwen.seam import explained
from app.upstream.qwen.token_source import TokenSource
from app.upstream.qwen.video import VideoReply, checked_task, read_stored_video, read_video_state

_log = logging.getLogger(__name__)
_CHATS = "/api/v2/chats/"
_COMPLETIONS = "/api/v2/chat/completions"
_CHAT_ID = re.compile(r"[0-9A-Za-z-]{8,64}")
_LARGEST_CHAT = 32 * 1024 * 1024  # bytes; a chat's detail holds its texts twice
_MAYBE_ACCEPTED = {"timeout", "connection", "eof", "html", "502", "504"}  # the site may have the message nevertheless


class QwenUpstream:
    """An account at chat.qwen.ai, or an emulator of it; an async context manager that owns the connections.

    Every method raises only UpstreamError subclasses.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        base_url: str,
        tokens: TokenSource,
        kind: Literal["qwen", "emulator"],
        meter: Meter | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._login = Login(settings, clock, base_url=base_url, tokens=tokens, kind=kind, meter=meter)
        self._files = Files(
            settings,
            clock,
            base_url,
            call=self._login.call,
            patience=patience or Patience(),
            on_failure=self._login.count,
        )
        self._origin = origin_of(base_url)
        self._thinking_budgets: dict[str, int] = {}

    async def __aenter__(self) -> "QwenUpstream":
        await self._login.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._login.__aexit__(kind, problem, trace)

    def account_name(self) -> str:
        """Return the account of the token as it was last read, "none" without one."""
        return self._login.account_name()

    def account_now(self) -> Coroutine[Any, Any, str]:
        """Return the account that a call would be made with now, "none" without a token."""
        return self._login.account_now()

    def account(self) -> AccountStatus:
        """Return the state of the account as last known, without a call."""
        return self._login.account()

    async def keep_login(self) -> float:
        """Renew what is due of the login; return the seconds until it should be called again."""
        return await self._login.keep()

    async def models(self) -> Sequence[ModelInfo]:
        """Fetch the active models, in the site's order."""
        outer = await self._login.call("GET", "/api/v2/models/", "account", chatting=False, for_guests=True)
        return read_models(outer.data)

    async def load_settings(self) -> None:
        """Fetch the account's settings: the owner's thinking budgets are used where a request names none."""
        outer = await self._login.call("GET", "/api/v2/users/user/settings", "account", chatting=False)
        self._thinking_budgets = read_thinking_budgets(outer.data)
        _log.debug("Switched on in the account: %s", ", ".join(switched_on(outer.data)) or "nothing known")

    async def create_chat(self, model: str, mode: Mode = "chat", account: str | None = None) -> str:
        """Make an empty chat for a first message in that mode, as `app.core.ports.Upstream` says; return its id."""
        body = create_body(model, mode, milliseconds=int(self._clock.now().timestamp() * 1000))
        outer = await self._login.call("POST", f"{_CHATS}new", "model", account=account, body=body)
        chat_id = outer.data.get("id") if isinstance(outer.data, dict) else None
        if not isinstance(chat_id, str) or not _CHAT_ID.fullmatch(chat_id):
            raise UpstreamProtocolError("The site made a chat without a usable id.", cause="chat_id")
        return chat_id

    async def send(self, prompt: Prompt) -> Answer:
        """Send a message and stream the answer, as `app.core.ports.Upstream` says.

        An error is marked as accepted when the site may have taken the prompt and only its answer was lost.
        """
        _checked(prompt.chat_id)
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
            thinking_budget=self._thinking_budgets.get(prompt.model),
        )
        transport = self._login.transport
        begun = transport.loop.time()
        deadline = begun + min(self._settings.first_event_timeout, self._settings.total_timeout)
        try:
            response = await transport.open(
                "POST",
                f"{_COMPLETIONS}?chat_id={prompt.chat_id}",
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
            raise _marked(silent) from problem
        except UpstreamError as problem:
            _marked(problem)
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
                path = _CHATS + _checked(prompt.chat_id)
                outer = await self._login.call("GET", path, "chat", limit=_LARGEST_CHAT)
                video = video.completed_by(read_stored_video(outer.data, prompt.parent_id, video))
            return video.events()
        except UpstreamError as problem:
            problem.accepted = True
            raise

    async def upload(self, file: FileContent) -> UploadedFile:
        """Bring a file to the site, until it can be sent, as `app.core.ports.Upstream` says."""
        return await self._files.upload(file)

    def download(self, url: str) -> AbstractAsyncContextManager[Download]:
        """Fetch what the site made, as `app.core.ports.Upstream` says."""
        return self._files.download(url)

    async def video(self, task_id: str) -> VideoState:
        """Ask how far a video is. Raises VideoFailed if the site no longer knows it."""
        outer = await self._login.call("GET", f"/api/v1/tasks/status/{checked_task(task_id)}", "task")
        return read_video_state(outer, self._login.note)

    async def stop(self, chat_id: str, response_id: str | None) -> None:
        """End a running generation. No error if none runs, or if the chat is gone."""
        checked = _checked(chat_id)
        body = {"chat_id": checked} if response_id is None else {"chat_id": checked, "response_id": response_id}
        try:
            path = f"{_COMPLETIONS}/stop?chat_id={checked}"
            await self._login.call("POST", path, "chat", body=body, chat_id=checked)
        except (ChatGone, UpstreamRejected) as problem:
            _log.debug("Nothing to stop in chat %s: %s", checked, problem)

    async def list_chats(self, page: int) -> Sequence[ChatSummary]:
        """Return one page of the account's chats outside projects, from 1, newest first; empty past the end."""
        outer = await self._login.call("GET", f"{_CHATS}?page={page}&exclude_project=true", "account")
        return read_list(outer.data, self._login.note)

    async def read_chat(self, chat_id: str) -> ChatRecord:
        """Read a whole chat, as `chats.read_record` says. Raises ChatGone if it is not there."""
        checked = _checked(chat_id)
        outer = await self._login.call("GET", _CHATS + checked, "chat", chat_id=checked, limit=_LARGEST_CHAT)
        return read_record(outer.data, checked, self._login.note)

    async def rename_chat(self, chat_id: str, title: str) -> None:
        """Give a chat a title.

        Nobody recorded how the site does this, so "not found" here may mean the address rather than the chat.
        """
        checked = _checked(chat_id)
        outer = await self._login.call("POST", _CHATS + checked, "account", body={"title": title}, chat_id=checked)
        if isinstance(outer.data, dict) and outer.data.get("status") is False:
            raise UpstreamProtocolError("The site says that it did not rename the chat.", cause="rename")

    async def delete_chat(self, chat_id: str, account: str) -> None:
        """Delete one chat of an account, with its own token only. No error if it is gone already.

        Raises UpstreamRejected without a call for an id of another form: with an empty id the same address would
        delete every chat of the account.
        """
        checked = _checked(chat_id)
        try:
            outer = await self._login.call("DELETE", _CHATS + checked, "chat", account=account, chat_id=checked)
        except ChatGone:
            return
        if isinstance(outer.data, dict) and outer.data.get("status") is False:
            raise UpstreamProtocolError("The site says that it did not delete the chat.", cause="delete")


def _marked(problem: UpstreamError) -> UpstreamError:
    """Mark an error as accepted if the site may have the message nevertheless."""
    if isinstance(problem, UpstreamCut | UpstreamTimeout | UpstreamUnreachable) and problem.cause in _MAYBE_ACCEPTED:
        problem.accepted = True
    return problem


def _checked(chat_id: str) -> str:
    """Return a chat id that is safe in an address. Raises UpstreamRejected for any other."""
    if not _CHAT_ID.fullmatch(chat_id):
        raise UpstreamRejected("This is not the id of a chat, so nothing was sent.", cause="chat_id")
    return chat_id
