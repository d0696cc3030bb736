"""A stand-in for chat.qwen.ai that speaks its wire protocol over HTTP, written apart from the adapter to the site."""

from app.emulator.options import EmulatorOptions
from app.emulator.server import Emulator

__all__ = ["Emulator", "EmulatorOptions"]
