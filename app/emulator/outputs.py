"""What the site makes, pictures and videos, and where it can be had until its key ends.

The real address is `https://cdn.qwenlm.ai/output/<user>/t2i/<response>/<n>.png?key=<JWT>`; here it is on the site's own
port. Nothing is kept: the key says how large a picture is, and the end of its address how it looks.
"""

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from app.emulator.drawing import mp4, png
from app.emulator.tokens import TokenOffice

PREFIX = "/output/"
_KEY = "output"


@dataclass(frozen=True, slots=True)
class Output:
    """A picture or a video that was made; `expired` says that its key has ended."""

    name: str
    type: str
    content_type: str
    data: bytes
    expired: bool


@dataclass(frozen=True, slots=True)
class Outputs:
    """Gives addresses to what an answer makes; `seconds` is how long they last."""

    office: TokenOffice
    origin: str
    seconds: float

    def picture(self, response_id: str, number: int, pixels: tuple[int, int], mode: str = "t2i") -> str:
        """Return the address of a picture; the same one has another in another mode."""
        return self._address(f"{mode}/{response_id}/{number}.png", pixels)

    def video(self, response_id: str, pixels: tuple[int, int]) -> str:
        """Return the address of a video."""
        return self._address(f"t2v/{response_id}/1.mp4", pixels)

    def _address(self, name: str, pixels: tuple[int, int]) -> str:
        path = f"{PREFIX}{self.office.user_id}/{name}"
        key = self.office.seal(_KEY, self.seconds, path=path, width=pixels[0], height=pixels[1])
        return f"{self.origin}{path}?key={key}"


def find(office: TokenOffice, url: str) -> Output | None:
    """Return what is at an address, None for one that was never given."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    claims = office.unseal(_KEY, parse_qs(parts.query).get("key", [""])[0])
    if claims is None or claims["path"] != path:
        return None
    name, expired = path.rpartition("/")[2], claims["exp"] <= office.now()
    if name.endswith(".mp4"):
        return Output(name, "video", "video/mp4", mp4(path), expired)
    look = "/".join(path.split("/")[-2:])  # the answer and the number, whichever of its addresses it is
    return Output(name, "image", "image/png", png(claims["width"], claims["height"], look), expired)
