"""What the database cannot do."""

import logging

from app.errors.base import GatewayError


class StoreError(GatewayError):
    """The session store could not do what was asked."""

    status = 503
    code = "store_error"
    log_level = logging.ERROR


class StoreBusy(StoreError):
    """Another process held the database's write lock for longer than we wait."""

    code = "store_busy"
    advice = "A shell or a backup may be holding a write transaction open; close it and try again."
    advice_zh = "可能有命令行或备份程序占着写事务；请关闭它再试。"


class StoreUnusable(StoreError):
    """The database file cannot be used and was left as it was."""

    code = "store_unusable"
    retry = False


class StoreInUse(StoreUnusable):
    """Another qwen-thread runs on the database file."""

    code = "store_in_use"
