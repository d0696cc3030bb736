"""What handlers find in the application and in a request, by typed key."""

from dataclasses import dataclass

from aiohttp import web

from app.clock import Clock
from app.config import Settings
from app.core.catalog import ModelCatalog
from app.core.gateway import Gateway
from app.core.ports import FileLibrary, SessionStore, Upstream
from app.core.videos import Videos
from app.telemetry.metrics import Metrics
from app.web.access_log import AccessLog, Visit


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that handlers work with; built in `app/main.py`."""

    settings: Settings
    clock: Clock
    gateway: Gateway
    videos: Videos
    catalog: ModelCatalog
    upstream: Upstream
    store: SessionStore
    files: FileLibrary
    metrics: Metrics
    access_log: AccessLog | None = None


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
VISIT: web.RequestKey[Visit] = web.RequestKey("visit", Visit)
OWNER: web.RequestKey[str] = web.RequestKey("owner", str)
