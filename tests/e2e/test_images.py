"""Images by the routes that OpenAI has for them."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import FormData
from openai import AsyncOpenAI

from app.core.events import Picture, TextDelta, Usage, UsageReport
from app.errors import UpstreamRateLimited
from tests.e2e.harness import Client, eventually
from tests.e2e.studio import SITE, Studio, studio_server
from tests.samples import PNG
from tests.web.test_openapi import problems

CAT, DOG, COW = (Picture(f"{SITE}/{name}.png?key=signed") for name in ("cat", "dog", "cow"))


@pytest.fixture
def studio() -> Studio:
    return Studio(files={CAT.url: ("image/png", PNG)})


@pytest.fixture
async def client(tmp_path: Path, studio: Studio) -> AsyncIterator[Client]:
    async with studio_server(tmp_path, studio) as client:
        yield client


@pytest.fixture
async def ai(client: Client) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{client.url}/v1", api_key="any", max_retries=0) as ai:
        yield ai


async def test_an_image_is_made_in_a_chat_of_its_own_that_is_deleted(ai: AsyncOpenAI, studio: Studio) -> None:
    studio.answers = [[CAT, UsageReport(Usage(12, 30))]]
    made = await ai.images.generate(prompt="A cat", model="artist", size="1792x1024")
    assert made.data is not None
    assert [image.url for image in made.data] == [CAT.url]
    assert (made.usage.total_tokens if made.usage else None) == 42
    prompt = studio.prompts[-1]
    assert (prompt.text, prompt.mode, prompt.size, prompt.model) == ("A cat", "image", "16:9", "artist")
    await eventually(lambda: studio.deleted == studio.chats)


async def test_the_model_may_be_left_out_and_the_bytes_asked_for(ai: AsyncOpenAI, studio: Studio) -> None:
    studio.answers = [[CAT]]
    made = await ai.images.generate(prompt="A cat", response_format="b64_json")
    assert made.data is not None
    assert made.data[0].b64_json is not None
    assert base64.b64decode(made.data[0].b64_json) == PNG
    assert (studio.prompts[-1].model, made.usage) == ("artist", None)


async def test_as_many_images_come_as_are_wanted_although_the_site_gives_one_at_a_time(
    ai: AsyncOpenAI, studio: Studio
) -> None:
    studio.answers = [[CAT], [TextDelta("Another one?")], [DOG, COW]]
    made = await ai.images.generate(prompt="A pet", model="artist", n=3)
    assert made.data is not None
    assert [image.url for image in made.data] == [CAT.url, DOG.url, COW.url]
    first, second, third = studio.prompts
    assert first.text == "A pet\n\nMake 3 images."
    assert second.text == third.text == "Make another image, different from those before: A pet"
    assert (second.chat_id, second.parent_id, third.parent_id) == (first.chat_id, "response-1", "response-2")


@pytest.mark.parametrize("end", [[], [UpstreamRateLimited("Enough for today.")]])
async def test_the_images_that_came_are_given_where_the_rest_does_not_come(
    ai: AsyncOpenAI, studio: Studio, end: list[Any]
) -> None:
    studio.answers = [[CAT, DOG, COW], [COW], end, end]
    made = await ai.images.generate(prompt="A pet", model="artist", n=2)
    assert made.data is not None
    assert [image.url for image in made.data] == [CAT.url, DOG.url], "no more than were wanted"
    made = await ai.images.generate(prompt="A cow", model="artist", n=3)
    assert made.data is not None
    assert [image.url for image in made.data] == [COW.url]


async def test_an_image_that_came_before_an_error_in_the_same_answer_is_given(ai: AsyncOpenAI, studio: Studio) -> None:
    studio.answers = [[CAT, UpstreamRateLimited("The day is over.")]]
    made = await ai.images.generate(prompt="Cats", model="artist", n=2)
    assert [image.url for image in made.data or []] == [CAT.url]


async def test_one_image_that_cannot_be_fetched_does_not_cost_the_others(ai: AsyncOpenAI, studio: Studio) -> None:
    studio.answers = [[DOG, CAT]]
    made = await ai.images.generate(prompt="Pets", model="artist", n=2, response_format="b64_json")
    assert [base64.b64decode(image.b64_json or "") for image in made.data or []] == [PNG]
    studio.answers = [[DOG]]
    with pytest.raises(openai.APIStatusError):
        await ai.images.generate(prompt="A dog", model="artist", response_format="b64_json")


async def test_the_count_of_tokens_has_the_shape_that_clients_read(ai: AsyncOpenAI, studio: Studio) -> None:
    studio.answers = [[CAT, UsageReport(Usage(12, 30))]]
    made = await ai.images.generate(prompt="A cat", model="artist")
    assert made.usage is not None
    assert made.usage.input_tokens_details.text_tokens == 12
    assert not problems("MadeImages", made.model_dump(exclude_unset=True))


async def test_a_model_that_answers_with_words_is_quoted(ai: AsyncOpenAI, studio: Studio) -> None:
    studio.answers = [[TextDelta("I would rather not.")]]
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        await ai.images.generate(prompt="Something", model="artist")
    assert "The model made no image, but said: I would rather not." in refused.value.message
    await eventually(lambda: studio.deleted == studio.chats)


async def test_images_are_changed(ai: AsyncOpenAI, studio: Studio) -> None:
    studio.answers = [[DOG]]
    made = await ai.images.edit(image=[("a.png", PNG), ("b.png", PNG)], prompt="As a dog", model="artist", n=1)
    assert made.data is not None
    assert made.data[0].url == DOG.url
    assert studio.prompts[-1].text == "As a dog"


async def test_what_has_no_effect_is_named(client: Client, studio: Studio) -> None:
    studio.answers = [[CAT]]
    body = {"prompt": "A cat", "quality": "hd", "style": "vivid", "user": "me", "model": "artist-image", "size": "auto"}
    async with client.session.post(f"{client.url}/v1/images/generations", json=body) as response:
        assert response.headers["X-Ignored-Params"] == "quality,style,user"
        assert (response.headers["X-Session-Match"], response.headers["X-Session-Id"][:8]) == ("new", "session_")
        assert not problems("MadeImages", await response.json())
    assert studio.prompts[-1].size is None


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "prompt"),
        ({"prompt": " "}, 400, "prompt"),
        ({"prompt": "A cat", "n": 11}, 400, "n"),
        ({"prompt": "A cat", "n": 0}, 400, "n"),
        ({"prompt": "A cat", "size": "large"}, 400, "size"),
        ({"prompt": "A cat", "size": "0x0"}, 400, "size"),
        ({"prompt": "A cat", "response_format": "gif"}, 400, "response_format"),
        ({"prompt": "A cat", "stream": True}, 400, "stream"),
        ({"prompt": "A cat", "model": "talker"}, 400, "model"),
        ({"prompt": "A cat", "model": "artist-video"}, 400, "model"),
        ({"prompt": "A cat", "model": "nobody"}, 404, "model"),
    ],
)
async def test_what_cannot_be_made_is_refused(
    client: Client, studio: Studio, body: dict[str, Any], status: int, param: str
) -> None:
    async with client.session.post(f"{client.url}/v1/images/generations", json=body) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (status, param)
    assert studio.prompts == []


@pytest.mark.parametrize(
    ("files", "fields", "param"),
    [
        ({}, {"prompt": "As a dog"}, "image"),
        ({"image": b"plain text"}, {"prompt": "As a dog"}, "image"),
        ({"image": PNG, "mask": PNG}, {"prompt": "As a dog"}, "mask"),
        ({"image": PNG}, {}, "prompt"),
        ({"image": PNG}, {"prompt": "As a dog", "n": "many"}, "n"),
    ],
)
async def test_an_edit_that_cannot_be_made_is_refused(
    client: Client, studio: Studio, files: dict[str, bytes], fields: dict[str, str], param: str
) -> None:
    form = FormData(fields, default_to_multipart=True)
    for name, data in files.items():
        form.add_field(name, data, filename=f"{name}.png")
    async with client.session.post(f"{client.url}/v1/images/edits", data=form) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, param)
    assert studio.prompts == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"--x\r\nno headers", "multipart/form-data; boundary=x", 400),
        (b"--x--", "multipart/form-data", 400),
        (b"{}", "application/json", 415),
    ],
)
async def test_a_form_that_is_none_is_refused(client: Client, body: bytes, kind: str, status: int) -> None:
    url = f"{client.url}/v1/images/edits"
    async with client.session.post(url, data=body, headers={"Content-Type": kind}) as response:
        assert response.status == status


async def test_a_form_is_bounded_as_every_body_is(tmp_path: Path) -> None:
    async with studio_server(tmp_path, Studio(), MAX_BODY_BYTES="2048") as client:
        form = FormData({"prompt": "As a dog"}, default_to_multipart=True)
        form.add_field("image", PNG + bytes(4096), filename="a.png")
        async with client.session.post(f"{client.url}/v1/images/edits", data=form) as response:
            assert response.status == 413
