"""Keys stay equal under what clients do to a history without meaning to, and differ under every edit of meaning."""

from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.core import keys
from app.core.canonical import canonical_assistant, canonical_user, digest, digest_of, squeeze
from app.core.history import History
from app.core.keys import Keys
from app.core.messages import Message, ToolCall
from tests.core.fakes import read_history
from tests.core.messages import assistant, result, user

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>/"), min_size=1, max_size=40).filter(
    squeeze
)
turns = st.lists(st.tuples(texts, texts), min_size=1, max_size=5)


@dataclass(frozen=True)
class Reading:
    """What a history says about its place: the turn key, or the step keys, likeliest first."""

    history: History

    @property
    def keys(self) -> list[str]:
        history = self.history
        return [history.key_of(anchor, history.keys_before[anchor.turn]) for anchor in history.anchors]

    @property
    def turn_key(self) -> str | None:
        return self.keys[0] if self.history.anchors and self.history.anchors[0].results is None else None

    @property
    def step_keys(self) -> list[str]:
        return self.keys if self.history.anchors and self.history.anchors[0].results is not None else []

    @property
    def step_key(self) -> str | None:
        return self.step_keys[0] if self.step_keys else None

    @property
    def begins(self) -> bool:
        return not self.history.anchors

    @property
    def earlier(self) -> tuple[Message, ...]:
        return self.history.spoken[: self.history.anchors[0].index] if self.history.anchors else ()

    @property
    def new(self) -> tuple[Message, ...]:
        return self.history.spoken[len(self.earlier) :]

    @property
    def system(self) -> str:
        return self.history.system

    @property
    def system_digest(self) -> str:
        return self.history.system_digest

    def keys_of(self, answer: str) -> tuple[str, str | None]:
        turn, step = self.history.keys_of(answer)
        return turn.key, step


def read(*messages: Message, owner: str = "anna", account: str = "a1") -> Reading:
    return Reading(read_history(messages, owner, account))


def conversation(pairs: list[tuple[str, str]], last: str = "and now?") -> list[Message]:
    said = [message for asked, answered in pairs for message in (user(asked), assistant(answered))]
    return [*said, user(last)]


CALL = ToolCall("call_1", "get_weather", '{"city": "Paris"}')
CALL_TEXT = '<tool_use>\n<name>get_weather</name>\n<arguments>{"city": "Paris"}</arguments>\n</tool_use>'


@given(turns)
def test_the_next_request_looks_for_the_key_under_which_the_answer_was_stored(pairs: list[tuple[str, str]]) -> None:
    *before, (asked, answered) = pairs
    stored, _ = read(*conversation(before, asked)).keys_of(answered)
    assert read(*conversation(pairs)).turn_key == stored


@given(turns, st.sampled_from([" ", "\n\n", "\u200b", "\ufeff", "\t "]))
def test_white_space_and_zero_width_characters_do_not_matter(pairs: list[tuple[str, str]], blank: str) -> None:
    changed = [(f"{blank}{asked}{blank}", f"{blank}{answered}{blank}") for asked, answered in pairs]
    assert read(*conversation(changed)).turn_key == read(*conversation(pairs)).turn_key


@given(turns, texts, st.data())
def test_a_changed_text_anywhere_is_another_conversation(
    pairs: list[tuple[str, str]], other: str, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(pairs) - 1))
    asked, answered = pairs[index]
    if data.draw(st.booleans()):
        assume(canonical_user(other) != canonical_user(asked))
        edited = (other, answered)
    else:
        assume(canonical_assistant(other) != canonical_assistant(answered))
        edited = (asked, other)
    changed = [*pairs[:index], edited, *pairs[index + 1 :]]
    assert read(*conversation(changed)).turn_key != read(*conversation(pairs)).turn_key


@given(turns)
def test_a_deleted_turn_is_another_conversation(pairs: list[tuple[str, str]]) -> None:
    assert read(*conversation(pairs[1:])).turn_key != read(*conversation(pairs)).turn_key


@given(turns)
def test_another_owner_or_account_never_has_the_same_key(pairs: list[tuple[str, str]]) -> None:
    messages = conversation(pairs)
    keys = {
        read(*messages).turn_key,
        read(*messages, owner="ben").turn_key,
        read(*messages, account="a2").turn_key,
    }
    assert len(keys) == 3


def test_text_that_moves_from_one_message_to_the_next_is_another_conversation() -> None:
    assert read(*conversation([("ab", "c")])).turn_key != read(*conversation([("a", "bc")])).turn_key


def test_what_wraps_an_answer_does_not_matter() -> None:
    plain = read(*conversation([("hi", "Hello there")])).turn_key
    for shown in (
        "<think>They greet me.</think>\nHello there",
        "<thinking>hm</thinking>Hello there\n",
        '<details type="reasoning" done="true"><summary>Thought</summary>hm</details>\nHello there',
        "<tool_call>{}</tool_call>Hello there",
        f"Hello {CALL_TEXT}there",
    ):
        assert read(*conversation([("hi", shown)])).turn_key == plain, shown


def test_an_unclosed_thinking_block_at_the_head_is_no_answer_text() -> None:
    assert canonical_assistant("<think>never closed") == ""
    assert canonical_assistant("a < b and <think> is a tag") != ""


def test_a_trailing_thinking_switch_does_not_matter() -> None:
    plain = read(*conversation([("hi", "yes")])).turn_key
    for asked in ("hi /no_think", "hi/think", "hi /think \n"):
        assert read(*conversation([(asked, "yes")])).turn_key == plain
    assert read(*conversation([("hi /nothink", "yes")])).turn_key != plain


def test_the_same_characters_in_another_normal_form_do_not_matter() -> None:
    assert read(*conversation([("cafe\u0301", "o\u0308k")])).turn_key == read(*conversation([("café", "ök")])).turn_key


def test_the_system_prompt_is_not_part_of_the_key() -> None:
    messages = conversation([("hi", "yes")])
    with_system = read(Message("system", "Be brief."), *messages)
    assert with_system.turn_key == read(*messages).turn_key
    assert with_system.system == "Be brief."
    assert with_system.system_digest != read(*messages).system_digest


def test_a_first_message_has_no_place_to_look_for() -> None:
    assert read(user("hi")).begins
    assert read(user("hi"), user("there")).begins
    assert read(result("22 degrees")).begins


def test_new_is_everything_after_the_last_answer() -> None:
    history = read(user("a"), assistant("b"), user("c"), user("d"))
    assert [message.text for message in history.new] == ["c", "d"]
    assert [message.text for message in history.earlier] == ["a", "b"]


def test_tool_results_are_looked_up_by_the_step_that_called() -> None:
    _, step = read(user("weather?")).keys_of("Let me see. " + CALL_TEXT)
    for called in (assistant("Let me see.", CALL), assistant(f"Let me see. {CALL_TEXT}")):
        for answer in (result("22"), user("<tool_use_result>\n  <name>get_weather</name>22</tool_use_result>")):
            history = read(user("weather?"), called, answer)
            assert (history.step_key, history.turn_key) == (step, None)
            assert history.new == (answer,)


def test_the_second_step_has_a_key_of_its_own_even_without_any_text() -> None:
    first = read(user("go")).keys_of(CALL_TEXT)
    second = read(user("go"), assistant("", CALL), result("1")).keys_of(CALL_TEXT)
    assert first[1] != second[1]
    loop = read(user("go"), assistant("", CALL), result("1"), assistant("", CALL), result("2"))
    assert loop.step_key == second[1]


def test_the_text_of_a_result_does_not_matter_but_their_number_does() -> None:
    def after(*results: Message) -> tuple[str, str | None]:
        return read(user("go"), assistant("", CALL), *results).keys_of(CALL_TEXT)

    assert after(result("1")) == after(result("another dump"))
    assert after(result("1"))[1] != after(result("1"), result("2"))[1]


def test_an_answer_that_no_result_can_follow_has_no_step() -> None:
    asked = read(user("go"))
    assert asked.keys_of("On my way.")[1] is None
    assert asked.keys_of("On my way. " + CALL_TEXT)[1] is not None
    assert asked.keys_of('{"tool": "get_weather"}')[1] is not None
    assert asked.keys_of("[get_weather()]")[1] is not None


def test_a_loop_that_the_client_collapses_ends_in_the_same_turn() -> None:
    loop = read(user("go"), assistant("t1", CALL), result("1"), assistant("t2", CALL), result("2"))
    stored, _ = loop.keys_of("t3")
    assert read(user("go"), assistant("t1\n\nt2\n\nt3"), user("thanks")).turn_key == stored
    kept = (user("go"), assistant("t1", CALL), result("1"), assistant("t2", CALL), result("2"), assistant("t3"))
    assert read(*kept, user("thanks")).turn_key == stored


def test_a_call_whose_message_the_client_left_out_is_still_found() -> None:
    _, step = read(user("go")).keys_of(CALL_TEXT)
    bare = user("Here is the result of mcp tool use `get_weather`:\n[]")
    history = read(user("go"), bare)
    assert history.step_key == step
    assert history.new == (bare,)


def test_a_json_array_counts_as_a_result_only_after_a_call() -> None:
    array = user('[{"type":"text","text":"failed"}]')
    assert read(user("go"), assistant(CALL_TEXT), array).step_key is not None
    assert read(user("go"), assistant("What data?"), array).step_key is None


def test_a_user_text_after_results_keeps_the_results_in_what_is_new() -> None:
    history = read(user("go"), assistant("", CALL), result("1"), user("stop"))
    assert history.step_key is not None
    assert [message.text for message in history.new] == ["1", "stop"]


def test_a_history_that_ends_with_the_assistant_goes_on_from_there() -> None:
    stored, _ = read(user("tell")).keys_of("Once upon")
    history = read(user("tell"), assistant("Once upon"))
    assert history.turn_key == stored
    assert history.new == ()
    assert history.keys_of(" a time")[0] == read(user("tell")).keys_of("Once upon a time")[0]


@given(st.lists(st.sampled_from([user("go"), assistant("words"), assistant("", CALL), result("1")]), max_size=12))
def test_every_message_belongs_to_the_first_turn_that_ends_after_it(said: list[Message]) -> None:
    history = read(*said).history
    for index in range(len(said)):
        plain = next(number for number, turn in enumerate(history.turns) if index < turn.end)
        assert history.turn_of(index) == plain
    turns = [history.turn_of(anchor.index - 1) for anchor in history.anchors]
    assert turns == [anchor.turn for anchor in history.anchors]


def test_the_key_of_a_turn_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    def counting(encoded: bytes) -> str:
        made.append(encoded)
        return digest_of(encoded)

    monkeypatch.setattr(keys, "digest_of", counting)
    history = read(*conversation([("go", "on")] * 50)).history
    assert history.turn_rows(0)[-1].key == history.before_key
    assert history.asked_key == history.keys.asked(history.keys_before[50], history.turns[-1].user_key)
    assert sum(b"turn" in encoded for encoded in made) == 50


def test_keys_are_the_digests_of_their_parts() -> None:
    named = Keys.of("anna", "a1")
    root = digest("scope", "2", "anna", "a1")
    a, b, c = digest("a"), digest("b"), digest("c")
    assert named.root == root
    for text in ("", "plain", "größer", "\ud83d", "x" * 70_000):
        assert named.user(text) == digest("user", root, text)
        assert named.user(text, (a, b)) == digest("user", root, text, a, b)
        assert named.answer(text) == digest("answer", root, text)
    assert named.turn(a, b, c) == digest("turn", a, b, c)
    assert named.step(a, b, c, 12) == digest("step", a, b, c, "12")
    assert named.asked(a, b) == digest("asked", a, b)
    assert digest("größer", "") == "ccdc422e9677814766de6f6800194151"  # as in the databases


@given(turns, st.data())
def test_a_placed_history_counts_on_from_the_key_that_it_was_given(
    pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    history = read(*conversation(pairs)).history
    known = data.draw(st.integers(0, len(pairs)))
    placed = history.placed(known, history.keys_before[known])
    assert placed == history
    other = history.placed(known, digest("another"))
    assert [other.keys_before[turn] for turn in range(known)] == [history.keys_before[turn] for turn in range(known)]
    assert other.keys_before[known] == digest("another")
    assert [row.before_key for row in other.turn_rows(known)] == [
        other.keys_before[turn] for turn in range(known, len(pairs))
    ]
