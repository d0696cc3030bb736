"""Pages of lists, as clients ask for them."""

from collections.abc import Mapping

import msgspec

from app.errors import InvalidRequest

_ORDERS = {"asc", "desc"}


class Page(msgspec.Struct, frozen=True):
    """What a list was asked for: at most `limit` of its items, those that come `after` one of them."""

    after: str | None
    limit: int
    newest_first: bool


def read_page(query: Mapping[str, str], *, usual: int, most: int) -> Page:
    """Read the query of a list of `usual` items, of at most `most` where it asks for more. Raises InvalidRequest."""
    order = query.get("order", "desc")
    if order not in _ORDERS:
        raise InvalidRequest("'order' must be asc or desc.", param="order")
    try:
        limit = msgspec.convert(query.get("limit", usual), int, strict=False)
    except msgspec.ValidationError:
        limit = 0
    if not 1 <= limit <= most:
        raise InvalidRequest(f"'limit' must be a whole number from 1 to {most:,}.", param="limit")
    return Page(query.get("after"), limit, order == "desc")
