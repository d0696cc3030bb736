"""What is counted of an answer (docs/upstream-protocol.md, The stream)."""

from typing import Any


def tokens(text: str) -> int:
    """Count tokens the emulator's way: one for every four characters, rounded up."""
    return -(-len(text) // 4)


def picture_usage(pixels: tuple[int, int]) -> dict[str, int]:
    """Write what a picture that was made is counted as."""
    width, height = pixels
    counted = {"input_tokens": 0, "output_tokens": 0, "characters": 0}
    return {**counted, "width": width, "image_count": 1, "height": height}


def usage(shown: int, thought: int, said: int, pictures: int = 0) -> dict[str, Any]:
    """Write the count of tokens so far; the count of what was seen of pictures stands there only if there are any."""
    counted: dict[str, Any] = {
        "input_tokens": shown,
        "output_tokens": thought + said,
        "total_tokens": shown + thought + said,
        "characters": 0,
        "input_tokens_details": {"text_tokens": shown},
        "output_tokens_details": {"reasoning_tokens": thought, "text_tokens": thought + said},
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    if pictures:
        counted["input_tokens"] += pictures
        counted["total_tokens"] += pictures
        counted["input_tokens_details"]["image_tokens"] = counted["image_tokens"] = pictures
    return counted
