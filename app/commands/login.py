"""`python3 run.py login`: take the account's token from what a person pastes, try it, and keep it in `.env`.

What was pasted is not shown again, and reaches no other file.
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.config_values import Secret
from app.errors import InvalidRequest

_JWT = r"[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
_BEARER = re.compile(rf"authorization[\"']?\s*[:=]\s*[\"']?\s*bearer\s+({_JWT})", re.I)
_BARE = re.compile(rf"(?:^|[\s\"'=])({_JWT})(?:[\s\"';]|$)")
_COOKIE_HEADER = re.compile(r"(?:-H|--header)\s+\$?(['\"])cookie:\s*(.*?)\1", re.I | re.S)
_COOKIE_OPTION = re.compile(r"(?:^|\s)(?:-b|--cookie)\s+\$?(['\"])(.*?)\1", re.S)
_POWERSHELL_COOKIE = re.compile(r"System\.Net\.Cookie\(\s*\"([^\"]+)\"\s*,\s*\"([^\"]*)\"")
_COOKIE_TOKEN = re.compile(rf"(?:^|[;\s])token=({_JWT})")
_CONTINUED = ("\\", "^", "`", ";")
_MOST = 1_000_000

GUIDE = """\
Sign in at https://chat.qwen.ai in your browser, open the developer tools (F12), then either
  - Application (Firefox: Storage), Local storage: copy the value of the key `token`; or
  - Network: click any request to chat.qwen.ai, and choose "Copy as cURL".
在浏览器里登录 https://chat.qwen.ai，打开开发者工具（F12）：
复制 Local storage 里 `token` 的值，或把任一请求“复制为 cURL”。

Paste it here and press Enter. It is not shown. 粘贴到这里并按回车，内容不会显示。"""


@dataclass(frozen=True, slots=True)
class Pasted:
    """What was found in a paste; `cookie` is empty where there was none."""

    token: Secret
    cookie: Secret


def find_credentials(text: str) -> Pasted:
    """Find token and cookies in a token, or in a request copied as cURL. Raises InvalidRequest if there is no token."""
    text = text.replace('^"', '"').replace('\\"', '"')
    cookie = ""
    if header := _COOKIE_HEADER.search(text) or _COOKIE_OPTION.search(text):
        cookie = header[2]
    elif pairs := _POWERSHELL_COOKIE.findall(text):
        cookie = "; ".join(f"{name}={value}" for name, value in pairs)
    cookie = " ".join(cookie.replace("^", "").split())
    found = _BEARER.search(text) or _COOKIE_TOKEN.search(cookie) or _BARE.search(text)
    if found is None:
        raise InvalidRequest(
            "No token was found in what you pasted. A token is a long text with two dots in it; in a request copied "
            "as cURL it is in the header `authorization` or in the cookie `token`."
        )
    return Pasted(Secret(found[1]), Secret(cookie))


def read_paste() -> str:
    """Read what a person pastes, unseen; or all of standard input if it is no terminal."""
    if not sys.stdin.isatty():
        return sys.stdin.read(_MOST)
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


def keep(path: Path, pasted: Pasted) -> None:
    """Put the token and the cookies into a file, in one step and for its owner only; other lines stay as they are.

    Raises InvalidRequest if the file cannot be written; it is then as it was.
    """
    values = {"QWEN_AUTH_TOKEN": pasted.token.reveal()}
    if pasted.cookie:
        values["QWEN_COOKIE"] = pasted.cookie.reveal()
    try:
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if not re.match(rf"\s*(?:export\s+)?({'|'.join(values)})\s*=", line)]
        text = "\n".join([*kept, *(f"{name}='{value}'" for name, value in values.items())]) + "\n"
        _replace(path, text)
    except (OSError, UnicodeDecodeError) as problem:
        raise InvalidRequest(f"{path} could not be written: {problem}.") from problem


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def run(path: Path, try_out: Callable[[Pasted], str]) -> int:
    """Take a paste, try it, keep it; return the exit code. `try_out` says how long it lasts, or raises."""
    pasted = find_credentials(read_paste())
    lasts = try_out(pasted)
    keep(path, pasted)
    what = "The token and the cookies are" if pasted.cookie else "It is"
    print(f"The site takes this token. {lasts} {what} in {path}, readable by you only.")
    print("A running server takes it at once; else start it with: python3 run.py")
    return 0
