"""A token is read as people paste it, and for what it says of itself."""

from datetime import timedelta

import pytest

from app.config_values import Secret
from app.upstream.qwen.credentials import read_token
from tests.upstream.conftest import NOW, make_token


@pytest.mark.parametrize("form", ["{}", "'{}'", '"{}"', "Bearer {}", 'bearer  "{}"', '"Bearer {}"', "  {}  "])
def test_a_token_may_be_pasted_in_many_ways(form: str) -> None:
    token = make_token()
    credential = read_token(form.format(token), Secret())
    assert credential is not None
    assert credential.token == Secret(token)
    assert credential.account == "user-1"
    assert credential.expires_at == NOW + timedelta(days=30)


@pytest.mark.parametrize(
    "token",
    ["opaque", "a.b.c", "a.@@@.c", "a.bnVsbA.c", make_token(None, None), make_token(None, None, id=7, exp=True)],
)
def test_a_token_that_says_nothing_of_itself_is_an_account_of_its_own(token: str) -> None:
    credential = read_token(token, Secret())
    assert credential is not None
    assert credential.account.startswith("token-")
    assert token not in credential.account
    assert credential.expires_at is None


def test_an_impossible_end_is_no_end() -> None:
    credential = read_token(make_token(life=None, exp=10**30), Secret())
    assert credential is not None
    assert credential.expires_at is None


def test_no_secret_is_shown() -> None:
    credential = read_token("very-secret-token", Secret("cookie=secret"))
    assert "very-secret" not in repr(credential)
    assert "cookie=secret" not in repr(credential)
