"""The adapter itself: what the program asks of an upstream, said in the site's protocol."""

import logging
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Literal

from app.clock import Clock
from app.config import Settings
from app.core.attachments import FileContent
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
from app.errors import ChatGone, UpstreamProtocolError, UpstreamRejected
from app.upstream.qwen.answer import Answer
from app.upstream.qwen.bodies import create_body
from app.upstream.qwen.chats import LARGEST_CHAT, read_list, read_record
from app.upstream.qwen.completions import Completions
from app.upstream.qwen.files import Files, ParsePatience
from app.upstream.qwen.login import Login
from app.upstream.qwen.models import read_models, read_thinking_budgets, switched_on
from app.upstream.qwen.paths import CHATS, COMPLETIONS, checked_chat, is_chat_id
from app.upstream.qwen.token_source import TokenSource
from app.upstream.qwen.video import checked_task, read_video_state

_log = logging.getLogger(__name__)


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
        patience: ParsePatience | None = None,
    ) -> None:
        self._clock = clock
        self._login = Login(settings, clock, base_url=base_url, tokens=tokens, kind=kind, meter=meter)
        self._files = Files(
            settings,
            clock,
            base_url,
            call=self._login.call,
            patience=patience or ParsePatience(),
            on_failure=self._login.count,
        )
        self._completions = Completions(settings, clock, self._login, base_url=base_url)

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

    def keep_login(self) -> Coroutine[Any, Any, float]:
        """Renew what is due of the login; return the seconds until it should be called again."""
        return self._login.keep()

    async def models(self) -> Sequence[ModelInfo]:
        """Fetch the active models, in the site's order."""
        outer = await self._login.call("GET", "/api/v2/models/", "account", chatting=False, for_guests=True)
        return read_models(outer.data)

    async def load_settings(self) -> None:
        """Fetch the account's settings: the owner's thinking budgets are used where a request names none."""
        outer = await self._login.call("GET", "/api/v2/users/user/settings", "account", chatting=False)
        self._completions.thinking_budgets = read_thinking_budgets(outer.data)
        _log.debug("Switched on in the account: %s", ", ".join(switched_on(outer.data)) or "nothing known")

    async def create_chat(self, model: str, mode: Mode = "chat", account: str | None = None) -> str:
        """Make an empty chat for a first message in that mode, as `app.core.ports.Upstream` says; return its id."""
        body = create_body(model, mode, milliseconds=int(self._clock.now().timestamp() * 1000))
        outer = await self._login.call("POST", f"{CHATS}new", "model", account=account, body=body)
        chat_id = outer.data.get("id") if isinstance(outer.data, dict) else None
        if not is_chat_id(chat_id):
            raise UpstreamProtocolError("The site made a chat without a usable id.", cause="chat_id")
        return chat_id

    def send(self, prompt: Prompt) -> Coroutine[Any, Any, Answer]:
        """Send a message and stream the answer, as `app.core.ports.Upstream` says."""
        return self._completions.send(prompt)

    def upload(self, file: FileContent) -> Coroutine[Any, Any, UploadedFile]:
        """Bring a file to the site, until it can be sent, as `app.core.ports.Upstream` says."""
        return self._files.upload(file)

    def download(self, url: str) -> AbstractAsyncContextManager[Download]:
        """Fetch what the site made, as `app.core.ports.Upstream` says."""
        return self._files.download(url)

    async def video(self, task_id: str) -> VideoState:
        """Ask how far a video is. Raises VideoFailed if the site no longer knows it."""
        outer = await self._login.call("GET", f"/api/v1/tasks/status/{checked_task(task_id)}", "task")
        return read_video_state(outer, self._login.note)

    async def stop(self, chat_id: str, response_id: str | None) -> None:
        """End a running generation. No error if none runs, or if the chat is gone."""
        checked = checked_chat(chat_id)
        body = {"chat_id": checked} if response_id is None else {"chat_id": checked, "response_id": response_id}
        try:
            path = f"{COMPLETIONS}/stop?chat_id={checked}"
            await self._login.call("POST", path, "chat", body=body, chat_id=checked)
        except (ChatGone, UpstreamRejected) as problem:
            _log.debug("Nothing to stop in chat %s: %s", checked, problem)

    async def list_chats(self, page: int) -> Sequence[ChatSummary]:
        """Return one page of the account's chats outside projects, from 1, newest first; empty past the end."""
        outer = await self._login.call("GET", f"{CHATS}?page={page}&exclude_project=true", "account")
        return read_list(outer.data, self._login.note)

    async def read_chat(self, chat_id: str) -> ChatRecord:
        """Read a whole chat, as `chats.read_record` says. Raises ChatGone if it is not there."""
        checked = checked_chat(chat_id)
        outer = await self._login.call("GET", CHATS + checked, "chat", chat_id=checked, limit=LARGEST_CHAT)
        return read_record(outer.data, checked, self._login.note)

    async def rename_chat(self, chat_id: str, title: str) -> None:
        """Give a chat a title.

        Nobody recorded how the site does this, so "not found" here may mean the address rather than the chat.
        """
        checked = checked_chat(chat_id)
        outer = await self._login.call("POST", CHATS + checked, "account", body={"title": title}, chat_id=checked)
        if isinstance(outer.data, dict) and outer.data.get("status") is False:
            raise UpstreamProtocolError("The site says that it did not rename the chat.", cause="rename")

    async def delete_chat(self, chat_id: str, account: str) -> None:
        """Delete one chat of an account, with its own token only. No error if it is gone already.

        Raises UpstreamRejected without a call for an id of another form: with an empty id the same address would
        delete every chat of the account.
        """
        checked = checked_chat(chat_id)
        try:
            outer = await self._login.call("DELETE", CHATS + checked, "chat", account=account, chat_id=checked)
        except ChatGone:
            return
        if isinstance(outer.data, dict) and outer.data.get("status") is False:
            raise UpstreamProtocolError("The site says that it did not delete the chat.", cause="delete")
