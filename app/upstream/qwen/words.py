"""What a person is told about the life of the account's token."""

import logging
from datetime import datetime, timedelta

from app.upstream.qwen.credentials import Credential

_log = logging.getLogger(__name__)
_WARN_BEFORE = timedelta(days=3)


def expired(credential: Credential) -> str:
    """Say that a bearer is over, or that there never was one."""
    if credential.expires_at is None:
        return "The account has cookies and no token yet."
    return f"The account's token expired on {_written(credential.expires_at)}."


def unrenewable(credential: Credential) -> str:
    """Say why a login cannot be renewed, as a further sentence; nothing where that is no surprise."""
    if not credential.is_access:
        return ""
    return (
        " It is an access token, which lasts 15 minutes; the cookies that renew it are missing or over. "
        "`python3 run.py login` takes them from a request copied as cURL."
    )


def announce(
    credential: Credential, said: tuple[object, ...] | None, now: datetime, *, renews: bool
) -> tuple[object, ...] | None:
    """Log how long a login lasts, unless that is what was `said`; return what is said now.

    That is once for each login, and once more when it has three days left.
    """
    renews_itself = renews and (credential.is_access or bool(credential.refresh_token))
    ends = credential.ends_at if renews_itself else credential.expires_at
    if ends is None:
        return said
    left = ends - now
    is_near = left <= _WARN_BEFORE
    saying = (credential.account if renews_itself else credential.token, renews_itself, is_near)
    if saying == said:
        return said
    _log.log(
        logging.WARNING if is_near else logging.INFO,
        "The %s of account %s %s on %s%s",
        "login" if renews_itself else "token",
        credential.account,
        "expired" if left <= timedelta() else "renews itself; unused it ends" if renews_itself else "expires",
        _written(ends),
        f", in {span(left)}" if left > timedelta() else "",
    )
    return saying


def how_long(credential: Credential, now: datetime, *, renews: bool) -> str:
    """Say in sentences how long a login lasts and whether it renews itself."""
    ends = credential.ends_at if renews else credential.expires_at
    lasts = f"until {_written(ends)}, {span(ends - now)}" if ends else "for as long as the site says; it does not tell"
    if renews and (credential.is_access or credential.refresh_token):
        return f"It renews itself while the server runs; unused it lasts {lasts}."
    if credential.is_access:
        return f"It lasts {lasts}, and does not renew itself.{unrenewable(credential)}"
    if ends is None:
        return "It does not say how long it lasts, so the server cannot renew it in time."
    return f"It lasts {lasts}. A running server asks for a later one in the last 7 days."


def span(left: timedelta) -> str:
    """Write a duration in days, rounded as where they have a decimal place, or in minutes below one."""
    if left >= timedelta(days=1):
        days = round(left / timedelta(days=1))
        return f"{days} {'day' if days == 1 else 'days'}"
    minutes = left // timedelta(minutes=1)
    return f"{minutes} {'minute' if minutes == 1 else 'minutes'}"


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
