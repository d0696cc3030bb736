"""Every error has OpenAI's shape, a status that clients understand, and words that help."""

import json
import re

import pytest

from app import errors
from app.errors import GatewayError, MethodNotAllowed, RangeUnusable, UpstreamError
from app.openai.errors import error_body, error_headers


def family(kind: type[GatewayError]) -> list[type[GatewayError]]:
    return [kind, *(member for child in kind.__subclasses__() for member in family(child))]


def example(kind: type[GatewayError]) -> GatewayError:
    if kind is MethodNotAllowed:
        return MethodNotAllowed("It happened.", allowed="GET")
    return RangeUnusable("It happened.", content_range="bytes */1") if kind is RangeUnusable else kind("It happened.")


@pytest.mark.parametrize("kind", family(GatewayError))
def test_an_error_is_written_with_all_four_keys(kind: type[GatewayError]) -> None:
    error = example(kind)
    body = json.loads(error_body(error))
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"].removeprefix(f"{error.sign} ").startswith(error.args[0])
    assert 400 <= error.status < 600


@pytest.mark.parametrize("kind", family(GatewayError))
def test_the_tree_at_the_head_of_its_module_shows_it_with_its_status(kind: type[GatewayError]) -> None:
    tree = errors.__doc__ or ""
    line = next((line for line in tree.splitlines() if f" {kind.__name__} " in f" {line.strip('│├└─ ')} "), None)
    assert line is not None
    if kind is not GatewayError:
        assert str(kind.status) in line


@pytest.mark.parametrize("kind", family(UpstreamError))
def test_once_upstream_took_the_prompt_no_client_sends_it_again_by_itself(kind: type[GatewayError]) -> None:
    error = example(kind)
    error.accepted = True
    assert error_headers(error)["x-should-retry"] == "false"


@pytest.mark.parametrize("kind", family(UpstreamError))
def test_an_error_of_upstream_is_raised_anew_for_every_caller(kind: type[UpstreamError]) -> None:
    error = kind("It happened.", cause="code", param="model", retry_after=7)
    for _ in range(100):
        with pytest.raises(kind) as caught:
            raise error.anew()
        assert caught.value is not error
        assert (caught.value.args, vars(caught.value)) == (error.args, vars(error))
    assert error.__traceback__ is None


@pytest.mark.parametrize("kind", family(errors.InvalidRequest))
def test_a_request_at_fault_is_not_repeated(kind: type[GatewayError]) -> None:
    assert error_headers(example(kind))["x-should-retry"] == "false"


@pytest.mark.parametrize("kind", family(UpstreamError)[1:])
def test_every_fault_of_the_site_comes_with_advice_in_both_languages(kind: type[GatewayError]) -> None:
    assert kind.advice
    assert re.search("[\u4e00-\u9fff]", kind.advice_zh)
    assert example(kind).message.endswith(f"{kind.advice} {kind.advice_zh}")


def test_the_time_to_wait_is_whole_seconds() -> None:
    error = errors.UpstreamRateLimited("The daily limit is reached.", retry_after=7199.2)
    assert error_headers(error) == {"Retry-After": "7200"}


@pytest.mark.parametrize("kind", [each for each in family(GatewayError) if each.code == "context_length_exceeded"])
def test_a_context_that_is_too_long_begins_with_the_words_by_which_clients_know_it(kind: type[GatewayError]) -> None:
    message = json.loads(error_body(example(kind)))["error"]["message"]
    assert message.startswith("Input tokens exceed the configured limit. It happened. Start a new conversation")
