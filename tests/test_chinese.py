"""The Chinese pages carry the numbers of the English ones."""

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import _zh  # noqa: E402

PAGES = (("README.md", "README.zh.md"), ("docs/why-h20.md", "docs/why-h20.zh.md"))
BLOCK = re.compile(r"<!-- \[\[\[cog\n(.*?)\n\]\]\] -->\n(.*?)<!-- \[\[\[end\]\]\] -->", re.DOTALL)
NUMBER = re.compile(r"[0-9](?:[0-9.,]*[0-9])?")
MONTHS = {"April": "4", "October": "10"}


def numbers(text: str) -> Counter[str]:
    """Every number of a text, names of months too; in English "3.1" of a name and a full stop are told apart."""
    for month, number in MONTHS.items():
        text = text.replace(month, number)
    return Counter(NUMBER.findall(text))


def blocks(page: str) -> dict[str, str]:
    """What each generated block of a page holds, by the code that made it, without what only makes it Chinese."""
    found = {}
    for code, made in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        called = [line for line in code.split("\n") if line.startswith("print")]
        said = re.sub(r"print\(chinese\((.*)\)\)", r"print(\1)", "\n".join(called))
        if said:
            found[said] = made
    return found


@pytest.mark.parametrize(("english", "chinese"), PAGES)
def test_both_languages_carry_the_same_numbers(english: str, chinese: str) -> None:
    original, translated = blocks(english), blocks(chinese)
    assert translated
    assert not set(translated) - set(original), "a Chinese block is made by other calls than the English one"
    for code, made in translated.items():
        assert numbers(made) == numbers(original[code]), code


def test_every_table_of_the_study_is_in_both_languages() -> None:
    english, chinese = PAGES[1]
    assert list(blocks(english)) == list(blocks(chinese))


@pytest.mark.parametrize(("english", "chinese"), PAGES)
def test_the_languages_link_to_each_other(english: str, chinese: str) -> None:
    for page, other in ((english, chinese), (chinese, english)):
        assert f"]({Path(other).name})" in (ROOT / page).read_text(encoding="utf-8").split("##", 1)[0]


def test_chinese_changes_words_alone() -> None:
    made = _zh.chinese("| chip | training |\n|---|---|\n| h20-96gb | 1,234.5 |\n")
    assert made == "| 芯片 | 训练 |\n|---|---|\n| h20-96gb | 1,234.5 |\n"


def test_what_a_program_prints_stays() -> None:
    said = "```text\n$ clustercast estimate\nTraining took 3 days.\n```"
    assert _zh.chinese(said) == said


@pytest.mark.parametrize("english", ["| unheard of | 1 |", "Something was measured at 3.", "| training | 12 days |"])
def test_english_that_nobody_has_translated_is_refused(english: str) -> None:
    with pytest.raises(LookupError, match="has no Chinese for"):
        _zh.chinese(english)
