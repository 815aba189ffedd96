"""Launch files that somebody broke: what a reader has to live through."""

import random
from typing import Final

# What breaks parsers: open brackets and quotes, substitutions, numbers that are none, characters that are not seen.
PIECES: Final = (
    "'",
    '"',
    "`",
    "$(",
    "$((",
    "${",
    "${A:-",
    "${A:-${B:-",
    "}",
    ")",
    "(",
    "((((((((",
    "[" * 40,
    "{" * 40,
    "$A",
    "$$",
    "${A[@]}",
    "A=$A$A\n",
    "A=(",
    "A+=(x)\n",
    "\\",
    "\\\n",
    "<<EOF\n",
    "<<<",
    "&&",
    "|",
    ";;",
    "if ",
    "fi\n",
    "case x in\n",
    "esac\n",
    "else\n",
    "#",
    "\n",
    "\r",
    "\t",
    " ",
    "=",
    "==",
    "--",
    "-",
    ":",
    ",",
    "\u202e",
    "\u00e9",
    "\ufeff",
    "\x1b[31m",
    "\x00",
    "9" * 5000,
    "-1",
    "0",
    "1e400",
    "NaN",
    "null",
    "None",
    "true",
    "0x10",
    "1.5",
    "--bf16 --fp16 ",
    "--num-layers ",
    "--seq-length=",
    "[a]\n",
    "a.b.c = 1\n",
    "def f():\n  ",
    "return ",
    "lambda: ",
    "x = y = ",
    "[0]*99999",
    "*",
    "**",
    "@",
    "&a ",
    "*a ",
    "!!python/object ",
    "- ",
    '{"a": ',
    "[1, ",
    "1_0",
    "'''",
    '"""',
    "{{",
    "}}",
    "%s",
    "../",
    "::",
)


def mutated(text: str, rng: random.Random) -> str:
    """The text with a few pieces cut out, doubled, moved or put in; now and then nothing but pieces."""
    if rng.random() < 0.1:
        return "".join(rng.choice(PIECES) for _ in range(rng.randint(0, 30)))
    for _ in range(rng.randint(1, 4)):
        start = rng.randint(0, len(text))
        end = min(len(text), start + rng.choice((1, 1, 2, 5, 20, 100)))
        change = rng.randrange(5)
        if change == 0:
            text = text[:start] + text[end:]
        elif change == 1:
            text = text[:end] + text[start:end] + text[end:]
        elif change == 2:
            text = text[:start] + text[end:] + text[start:end]
        elif change == 3:
            text = text[:start] + str(rng.choice((0, 1, 2, 3, 7, 8, 64, 10**6, 10**12))) + text[end:]
        else:
            text = text[:start] + rng.choice(PIECES) + text[start:]
    return text
