"""`python3 run.py login`: take the account's token from what a person pastes, try it, and keep it in `.env`.

What was pasted is not shown again, and reaches no other file.
"""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.commands.terminal import is_terminal
from app.config_values import Secret, holds_login
from app.env_file import put_values, read_values
from app.errors import ClockWrong, InvalidRequest, UpstreamError, UpstreamLoginRequired

_JWT = r"[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
_BEARER = re.compile(rf"authorization[\"']?\s*[:=]\s*[\"']?\s*bearer\s+({_JWT})", re.I)
_BARE = re.compile(rf"(?:^|[\s\"'=])({_JWT})(?:[\s\"';]|$)")
_COOKIE_HEADER = re.compile(r"(?:-H|--header)\s+\$?(['\"])cookie:\s*(.*?)\1", re.I | re.S)
_COOKIE_OPTION = re.compile(r"(?:^|\s)(?:-b|--cookie)\s+\$?(['\"])(.*?)\1", re.S)
_COOKIE_LINE = re.compile(r"^\s*cookie:?\s+(\S.*?)\s*$", re.I | re.M)
_COOKIES_ALONE = re.compile(r"\s*[\w.-]+=[^;\s]*(?:;\s*[\w.-]+=[^;\s]*)*;?\s*")
_POWERSHELL_COOKIE = re.compile(r"System\.Net\.Cookie\(\s*\"([^\"]+)\"\s*,\s*\"([^\"]*)\"")
_COOKIE_TOKEN = re.compile(rf"(?:^|[;\s])token=({_JWT})")
_USER_AGENT = re.compile(r"user-?agent[\"']?\s*[:=]\s*[\"']?([\x20-\x7e]{1,400}?)[\"'\r\n]", re.I)
_CONTINUED = ("\\", "^", "`", ";")
_MOST = 1_000_000

GUIDE = """\
Sign in at https://chat.qwen.ai in your browser (best in a private window, see docs/operating.md), open the developer
tools (F12), then either
  - Application (Firefox: Storage), Local storage: copy the value of the key `token`; or
  - Network, and reload the page: click a request to auth.qwen.ai if there is one, else any to chat.qwen.ai, and choose
    "Copy as cURL". With its cookies the server can renew the login by itself.
在浏览器里登录 https://chat.qwen.ai（最好用无痕窗口），打开开发者工具（F12）：
复制 Local storage 里 `token` 的值，或把发往 auth.qwen.ai（没有则 chat.qwen.ai）的请求“复制为 cURL”。

Paste it here and press Enter. It is not shown. 粘贴到这里并按回车，内容不会显示。"""
_ANEW = "Sign in at chat.qwen.ai, copy the token or a request as cURL anew, and give this command again."
_ANEW_ZH = "请登录 chat.qwen.ai，重新复制令牌，或把请求复制为 cURL，再运行一次本命令。"


@dataclass(frozen=True, slots=True)
class Pasted:
    """What was found in a paste; `token` is empty where only cookies can bring one, `cookie` where there was none."""

    token: Secret
    cookie: Secret
    user_agent: str = ""


def find_credentials(text: str) -> Pasted:
    """Find token and cookies in a token, a line of cookies, or a request copied as cURL.

    Raises InvalidRequest if there is neither a token nor a cookie that brings one.
    """
    text = text.replace('^"', '"').replace('\\"', '"')
    cookie = " ".join(_cookies_in(text).replace("^", "").split())
    found = _BEARER.search(text) or _COOKIE_TOKEN.search(cookie)
    if found is None and not holds_login(cookie):
        found = _BARE.search(text)
    if found is None and not holds_login(cookie):
        raise InvalidRequest(
            "No token was found in what you pasted. A token is a long text with two dots in it; in a request copied "
            "as cURL it is in the header `authorization` or in the cookie `token` or `refresh_token`."
        )
    agent = _USER_AGENT.search(text)
    return Pasted(Secret(found[1] if found else ""), Secret(cookie), agent[1].replace("^", "").strip() if agent else "")


def _cookies_in(text: str) -> str:
    if header := _COOKIE_HEADER.search(text) or _COOKIE_OPTION.search(text):
        return header[2]
    if pairs := _POWERSHELL_COOKIE.findall(text):
        return "; ".join(f"{name}={value}" for name, value in pairs)
    if line := _COOKIE_LINE.search(text):
        return line[1]
    return text if _COOKIES_ALONE.fullmatch(text) and holds_login(text) else ""


def read_paste() -> str:
    """Read what a person pastes, unseen; or all of standard input if it is no terminal."""
    if not is_terminal(sys.stdin):
        return sys.stdin.read(_MOST) if sys.stdin is not None else ""
    print(GUIDE, flush=True)
    return _read_unseen()


def _read_unseen() -> str:
    """Read a paste of one or more lines from the terminal; a line that ends as a shell continues one is not the last.

    A terminal in its usual mode would cut a line at 4096 characters, which a line of cookies may exceed.
    """
    if sys.platform == "win32":
        from getpass import getpass

        lines = [getpass("")]
        while lines[-1].rstrip().endswith(_CONTINUED):
            lines.append(getpass(""))
        return "\n".join(lines)
    import termios

    device = sys.stdin.fileno()
    before = termios.tcgetattr(device)
    quiet = termios.tcgetattr(device)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    text = b""
    try:
        termios.tcsetattr(device, termios.TCSADRAIN, quiet)
        while len(text) < _MOST:
            piece = os.read(device, 65536)
            text += piece
            ended = text.endswith((b"\n", b"\r")) and not text.rstrip().endswith(tuple(map(str.encode, _CONTINUED)))
            if not piece or b"\x04" in piece or ended:
                break
    finally:
        termios.tcsetattr(device, termios.TCSADRAIN, before)
    print()
    return text.decode("utf-8", "replace")


def keep(path: Path, pasted: Pasted, are_apart: Callable[[Pasted, Pasted], bool]) -> None:
    """Put what was pasted into a file, in one step and for its owner only; other lines stay as they are.

    Cookies stay where none were pasted, unless `are_apart` says that they are another account's. Raises InvalidRequest
    if the file cannot be written; it is then as it was.
    """
    values = {"QWEN_AUTH_TOKEN": pasted.token.reveal()}
    if pasted.user_agent:
        values["QWEN_USER_AGENT"] = pasted.user_agent
    try:
        kept = _kept_in(path)
        if pasted.cookie or (kept.cookie and are_apart(kept, pasted)):
            values["QWEN_COOKIE"] = pasted.cookie.reveal()
        put_values(path, values)
    except (OSError, UnicodeDecodeError) as problem:
        raise InvalidRequest(f"{path} could not be written: {problem}.") from problem


def _kept_in(path: Path) -> Pasted:
    values = read_values(path) if path.exists() else {}
    return Pasted(Secret(values.get("QWEN_AUTH_TOKEN", "")), Secret(values.get("QWEN_COOKIE", "")))


def not_taken(problem: UpstreamError, path: Path, *, is_renewed: bool) -> InvalidRequest:
    """Return why the sign-in failed, what became of the paste and what to do, for a person at the prompt.

    Where the site renewed it before it failed (`is_renewed`), the renewed login is kept: the pasted one may be used up.
    """
    kept, kept_zh = f"Nothing was stored in {path}.", "没有保存任何内容。"
    if is_renewed:
        kept, kept_zh = f"The login was renewed before that, and is in {path}.", "在此之前登录已续期，并已保存。"
    advice, advice_zh = problem.advice, problem.advice_zh
    if isinstance(problem, UpstreamLoginRequired) and not isinstance(problem, ClockWrong):
        advice, advice_zh = _ANEW, _ANEW_ZH  # the server's own speaks of this command, and of tries by itself
    return InvalidRequest(" ".join(part for part in (str(problem), kept, advice, kept_zh + advice_zh) if part))


def run(path: Path, sign_in: Callable[[Pasted], str]) -> int:
    """Take a paste, sign in with it, say what came of it; return the exit code.

    `sign_in` tries it, keeps it and says how long it lasts, or raises.
    """
    pasted = find_credentials(read_paste())
    lasts = sign_in(pasted)
    what = "The token and the cookies are" if pasted.cookie else "It is"
    print(f"The site takes this token. {lasts} {what} in {path}, readable by you only.")
    if pasted.user_agent:
        print("The name of your browser is there too, as QWEN_USER_AGENT; a running server takes it at its next start.")
    print(
        "A running server that reads this file and was started with a login takes the login at once. "
        "One that answers from the emulator has to be stopped first. To start: python3 run.py"
    )
    return 0
