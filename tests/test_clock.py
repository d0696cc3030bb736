"""Moments are written in one form, in which their order as texts is that of time."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from app.clock import timestamp

ZONES = st.integers(-720, 720).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC) | ZONES))
def test_a_moment_is_written_in_utc_with_milliseconds(moment: datetime) -> None:
    written = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    assert timestamp(moment) == written.removesuffix("+00:00") + "Z"
