"""The emulator's "model": it answers from what it was shown and says that it is no real one.

`seen` is the branch as the site would show it to a model: pairs of role and text, the new message last. A message may
hold instructions and earlier turns as text (a transcript): recall looks into all of it, the newest first, but what is
asked now is only what comes after them. The same goes for documents, whose text stands before the message's own.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.emulator.arithmetic import sum_in
from app.emulator.calling import any_call, fitting_call, named_call
from app.emulator.viewing import ShownFile, describe
from app.emulator.wishes import Wish, wish_of

Seen = Sequence[tuple[str, str]]
_MOST = 500
_ANY_LINE = re.IGNORECASE | re.DOTALL | re.MULTILINE

_VALUE = r"(?P<value>(?:[^.!?,;\n<]|\.(?=\w)){1,80})"
_FACTS = (
    re.compile(r"\b[Mm]y (?P<key>[\w' -]{1,40}?) (?:is called|is named|is|are) " + _VALUE),
    re.compile(r"\b[Rr]emember:? (?P<key>[\w' -]{1,40}?) (?:is|are|=) " + _VALUE),
    re.compile(r"我的(?P<key>[^\s是叫,。!?\n<]{1,20})(?:叫做|叫|是)(?P<value>[^什谁哪,。!?,.!?\n<]{1,40})"),
)
_END = r"\s*(?:[?？]|$)"
_ASKED = (
    re.compile(
        r"\b[Ww](?:hat|ho)(?:'s| is| are| was)? (?:the name of )?my (?P<key>[\w' -]{1,40}?)(?: called| named)?" + _END
    ),
    re.compile(r"\b[Ww]hat (?:is|are) (?P<key>[\w' -]{1,40}?)" + _END),
    re.compile(r"我的(?P<key>[^\s是叫,。!?\n<]{1,20})(?:叫做|叫|是)(?:什么|谁|哪)"),
)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_ARTICLE = re.compile(r"^(?:the|a|an) |'s name$")
_FILES = re.compile(
    r"\b(?:pictures?|images?|photos?|files?|documents?|videos?|audio|attach\w*)\b|图|文件|视频|音频", re.I
)
_EARLIER = re.compile(r".*</(?:instructions|conversation|tools|document)>", re.DOTALL)
_RESULTS = re.compile(r"<tool_use_result>(.*?)</tool_use_result>", re.DOTALL)
_RESULT = re.compile(r"<(?P<kind>result|error)>(?P<text>.*)</(?P=kind)>", re.DOTALL)
_OLD_RESULT = re.compile(r"Here is the result of mcp tool use `(?P<name>[^`]+)`:\s*(?P<text>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says, and what it thinks before."""

    text: str
    thoughts: tuple[str, ...]


def answer(seen: Seen, files: Sequence[ShownFile] = (), earlier: Sequence[ShownFile] = ()) -> Answer:
    """Answer the last message, which came with files; earlier ones are told of when somebody asks."""
    turns = _users(seen)
    wish = wish_of(newest(seen[-1][1]))
    said = _as_ordered(wish, seen)
    if said is None:
        words = next((text for skill in _SKILLS if (text := skill(wish.plain, seen))), None)
        looked_at = files or (earlier if _FILES.search(wish.plain) else ())
        words = words or (describe(looked_at) if looked_at else None)
        call = fitting_call(wish, seen) if words is None and wish.may_call else None
        said = call or wish.written(words or _introduce(turns, wish.plain))
    noun = "message" if turns == 1 else "messages"
    return Answer(said, (f"I look at the {turns} user {noun} that I was shown.", "I answer from them alone."))


def _as_ordered(wish: Wish, seen: Seen) -> str | None:
    """Return a call that is asked for, or the text that is to be repeated; both stand in no other form."""
    if wish.must_call and (call := any_call(wish, seen)):
        return call
    if _tool_result(wish.plain, seen):
        return None
    return _repeat(wish.plain, seen) or (named_call(wish, seen) if wish.may_call else None)


def newest(text: str) -> str:
    """Return what a message asks now, without the instructions and the conversation that it may hold before that."""
    found = _EARLIER.match(text)
    return text[found.end() if found else 0 :].strip()


def _users(seen: Seen) -> int:
    return sum(role == "user" for role, _ in seen)


def _introduce(turns: int, asked: str) -> str:
    if _CHINESE.search(asked):
        return (
            f"我是 qwen-thread 内置的模拟器,不是真正的模型,这个回答是模拟的。我看到了 {turns} 条用户消息。"
            "您可以告诉我您的狗的名字,以后再问我;我也会算术。"
        )
    noun = "message" if turns == 1 else "messages"
    return (
        "I am the emulator built into qwen-thread, not a real model, and this answer is simulated. "
        f"I see {turns} user {noun} in this chat. Tell me the name of your dog and ask for it later, or try a sum "
        '("what is 12*7+3?"), "say: hello", "count to 20", or a tool that the prompt offers.'
    )


def _tool_result(asked: str, _seen: Seen) -> str | None:
    found = (_RESULT.search(block) for block in _RESULTS.findall(asked))
    results = [result["text"].strip() for result in found if result]
    old = _OLD_RESULT.search(asked)
    if old:
        results = [old["text"].strip()]
    return f"The tool says: {' | '.join(results)}" if results else None


def _count_turns(asked: str, seen: Seen) -> str | None:
    if not re.search(r"how many (?:turns|messages)|多少(?:轮|条)|几(?:轮|条)", asked, re.IGNORECASE):
        return None
    users = _users(seen)
    return f"I see {users} user messages and {len(seen) - users} answers."


def _what_was_said(asked: str, seen: Seen) -> str | None:
    found = re.search(r"what did (i|you) (?:say|tell)(?: you| me)?(?: (first|last|before))?", asked, re.IGNORECASE)
    if not found:
        return None
    role = "user" if found[1].lower() == "i" else "assistant"
    texts = [text for spoken, text in seen[:-1] if spoken == role]
    if not texts:
        return "Nothing that I was shown."
    return texts[0 if (found[2] or "").lower() == "first" else -1][:_MOST]


def _recall(asked: str, seen: Seen) -> str | None:
    question = next((found for pattern in _ASKED for found in pattern.finditer(_last_line(asked))), None)
    if question is None:
        return None
    key = question["key"].strip()
    for _, text in reversed(seen):
        facts = [found for pattern in _FACTS for found in pattern.finditer(text)]
        for fact in sorted(facts, key=lambda found: found.start(), reverse=True):
            if _bare(fact["key"]) == _bare(key):
                return _reminder(key, fact)
    return "You did not tell me that." if question.re is not _ASKED[1] else None


def _bare(key: str) -> str:
    return _ARTICLE.sub("", key.strip().lower())


def _reminder(key: str, fact: re.Match[str]) -> str:
    value = fact["value"].strip()
    if _CHINESE.search(key):
        return f"您的{key}叫{value}。"
    return f"{key.capitalize()} is {value}." if fact.re is _FACTS[1] else f"Your {_bare(key)} is {value}."


def _last_line(text: str) -> str:
    return text.rstrip().rsplit("\n", 1)[-1]


def _note(asked: str, seen: Seen) -> str | None:
    fact = next((found for pattern in _FACTS for found in pattern.finditer(_last_line(asked))), None)
    if fact is None or re.search("[?？]", asked):
        return None
    key, value, users = fact["key"].strip(), fact["value"].strip(), _users(seen)
    if _CHINESE.search(key):
        return f"记住了:{key}叫{value}。(模拟器;看到了 {users} 条用户消息。)"
    noun = "message" if users == 1 else "messages"
    return f"Noted: {key} is {value}. (Emulator; {users} user {noun} seen.)"


def _repeat(asked: str, _seen: Seen) -> str | None:
    found = re.search(r"^(?:say:|(?:repeat|echo)(?: after me)?(?::|\s))\s*(.+)", asked, _ANY_LINE)
    return found[1] if found else None


def _count(asked: str, _seen: Seen) -> str | None:
    found = re.search(r"\bcount to (\d{1,4})\b", asked, re.IGNORECASE)
    return " ".join(map(str, range(1, int(found[1]) + 1))) if found else None


def _calculate(asked: str, _seen: Seen) -> str | None:
    found = sum_in(_last_line(asked))
    return f"{found[0]} = {found[1]}" if found else None


_SKILLS: tuple[Callable[[str, Seen], str | None], ...] = (
    _tool_result,
    _count_turns,
    _what_was_said,
    _recall,
    _note,
    _count,
    _calculate,
)
