"""A clock in the system prompt is no change of instructions; anything else is."""

import time

import pytest

from app.core.system_text import system_digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It is 2026-11-23T05:14:46.123Z.", "It is 2026-11-24T18:02:01.001Z."),
        ("Now: 11/23/2026, 5:14:46 AM", "Now: 12/1/2026, 11:59:03 PM"),
        ("Date: 23.11.2026 17:20", "Date: 24.11.2026 09:01"),
        ("Today is Monday, November 23, 2026.", "Today is Tuesday, December 1, 2026."),
        ("Today is 23 Nov 2026, Mon", "Today is 1 Dec 2026, Tue"),
        ("Today is Nov 23 ,  2026", "Today is Dec 1,2026"),
        ("今天是2026年11月23日 星期一 下午3:20", "今天是2026年12月1日 星期二 上午11:05"),
        ("现在是15点20分", "现在是9点5分"),
        ("现在是 15 时 20 分 30 秒", "现在是 9 时 5 分 1 秒"),
        ("现在是3点20分30秒。", "现在是11点5分59秒。"),
        ("现在是下午3点", "现在是上午11点"),
        ("现在是凌晨3时20分", "现在是晚上11时5分"),
        ("现在是早上8点20分30秒", "现在是中午12点5分1秒"),
        ("现在是下午3：20", "现在是上午11：05"),
        ("今天是11月23号，周一", "今天是12月1号，周二"),
        ("今天是2026年11月23日礼拜一", "今天是2026年12月1日礼拜天"),
        ("现在 2026/11/23 15:20:01", "现在 2026/12/1 09:00:59"),
        ("Time 05:14:46 GMT+0700", "Time 15:44:06 GMT+0700"),
        ("It is 5 pm.", "It is 11 am."),
        ("Be brief.", "  Be\nbrief. "),
    ],
)
def test_only_the_clock_changed(one: str, other: str) -> None:
    assert system_digest(one) == system_digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Answer in at most 100 words.", "Answer in at most 50 words."),
        ("You are a cook.", "You are a pilot."),
        ("Use version 1.2.3 of the library.", "Use version 1.2.4 of the library."),
        ("Meet at 2026-11-23. Be brief.", "Meet at 2026-11-23. Be long."),
        ("Use Python 3.11.14.", "Use Python 3.11.15."),
        ("The code is 1234.", "The code is 4321."),
        ("Speak to Mark.", "Speak to Anna."),
        ("Be brief.", ""),
        ("最多提出3点建议。", "最多提出5点建议。"),
        ("每天学习3时。", "每天学习5时。"),
        ("满分是20分。", "满分是50分。"),
        ("第3周完成。", "第5周完成。"),
        ("现在是15点20分。请简短。", "现在是15点20分。请详细。"),
        ("Keep a ratio of 3 to 4.", "Keep a ratio of 3 to 5."),
    ],
)
def test_the_instructions_changed(one: str, other: str) -> None:
    assert system_digest(one) != system_digest(other)


def test_no_system_prompt_has_an_empty_digest() -> None:
    assert system_digest("") == system_digest(" \n") == ""


@pytest.mark.parametrize("date", ["Jan 1", "1 Jan", "Jan 1,", "1st of Jan.", "2026-01-01", "12:00", "上午 1 点"])
def test_blanks_behind_a_date_take_no_longer_than_others(date: str) -> None:
    began = time.process_time()
    assert system_digest(f"{date}{' ' * 30_000}x") == system_digest(f"{date} x")
    assert time.process_time() - began < 2, "two parts that share out the blanks take minutes"


def test_a_prompt_of_a_megabyte_is_named_at_once_and_known_by_all_of_its_words() -> None:
    long = "1234567890 " * 100_000
    began = time.process_time()
    assert system_digest(f"{long} 12:00") != system_digest(f"{long} 13:00")
    assert time.process_time() - began < 1, "dates are looked for in shorter ones"
