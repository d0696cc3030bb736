"""Where handlers find the emulator's state."""

from aiohttp import web

from app.emulator.state import EmulatorState

STATE: web.AppKey[EmulatorState] = web.AppKey("emulator", EmulatorState)
