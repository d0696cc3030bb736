"""Every output of the corpus is read the same whole, byte by byte, and in pieces of any size."""

import random

import pytest

from tests.core.tools.corpus import CORPUS
from tests.core.tools.test_reader import read


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 120
    assert len({output for output, _, _ in CORPUS.values()}) >= 120


@pytest.mark.parametrize("name", CORPUS)
def test_an_output_means_what_it_means_however_it_arrives(name: str) -> None:
    output, said, calls = CORPUS[name]
    assert read(output) == (said, calls)
    if len(output) < 20_000:
        assert read(*output) == (said, calls)
    chance = random.Random(name)
    for _ in range(5):
        cuts = sorted(chance.sample(range(len(output) + 1), min(len(output), 40)))
        pieces = [output[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(output)], strict=True)]
        assert read(*pieces) == (said, calls)
