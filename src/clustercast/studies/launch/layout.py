"""Lists that launch files write as expressions: which layers are mixtures, and Megatron's layout of a pipeline."""

import ast
import re
from typing import Final, NamedTuple

MOST_LAYERS: Final = 10_000

_LIST: Final = re.compile(r"[0-9\[\]()+*, ]{1,4096}")
_LAYOUT: Final = re.compile(r"[EtmL|()*0-9]{1,4096}")
_GROUP: Final = re.compile(r"\(([^()]*)\)(?:\*([0-9]{1,5}))?")
_REPEATED: Final = re.compile(r"([EtmL|])\*([0-9]{1,5})")


class Layout(NamedTuple):
    """Chunks of a pipeline, each the layers that it holds, and what else is said of it."""

    chunks: tuple[int, ...]  # layers of the model and layers that predict further tokens
    n_mtp: int  # of all of them


def layers_of(text: str) -> list[int] | None:
    """The list that an expression like "([0]*3+[1]*58)" stands for; None where it is none, or too long.

    >>> layers_of("([0]*1+[1]*2)*2"), layers_of("[1, 0]"), layers_of("1"), layers_of("[1]*99999")
    ([0, 1, 1, 0, 1, 1], [1, 0], None, None)
    """
    text = text.strip("'\" ")
    if _LIST.fullmatch(text) is None:
        return None
    try:
        found = _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return found if isinstance(found, list) else None


def _value(node: ast.expr) -> list[int] | int:
    if isinstance(node, ast.Constant) and type(node.value) is int and node.value <= MOST_LAYERS:
        return node.value
    if isinstance(node, ast.List):
        return [each for part in map(_value, node.elts) for each in (part if isinstance(part, list) else [part])]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mult):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Add) and isinstance(left, list) and isinstance(right, list):
            return _short(len(left) + len(right)) and left + right
        if isinstance(node.op, ast.Mult) and isinstance(left, list) and isinstance(right, int):
            return _short(len(left) * right) and left * right
    raise ValueError


def _short(length: int) -> bool:
    if length > MOST_LAYERS:
        raise ValueError
    return True


def layout_of(text: str) -> Layout | None:
    """Megatron's pipeline layout: E embedding, t layer, m layer that predicts further tokens, L loss, | next chunk.

    None where the text is none.

    >>> layout_of("Et*2|(tt|)*2,m|L")
    Layout(chunks=(2, 2, 2, 1, 0), n_mtp=1)
    """
    plain = re.sub(r"[\s,\\'\"]", "", text)
    if _LAYOUT.fullmatch(plain) is None:
        return None
    for pattern in (_GROUP, _REPEATED):
        for found in pattern.finditer(plain):
            if len(found[1]) * int(found[2] or 1) > MOST_LAYERS:
                return None
        plain = pattern.sub(lambda found: found[1] * int(found[2] or 1), plain)
        if len(plain) > 4 * MOST_LAYERS:
            return None
    if not re.fullmatch(r"[EtmL|]+", plain):
        return None
    chunks = plain.removesuffix("|").split("|")
    return Layout(tuple(chunk.count("t") + chunk.count("m") for chunk in chunks), plain.count("m"))


def chunks_of(n_slots: int, n_chunks: int) -> list[int]:
    """Layers per chunk: as even as can be, the ends the lighter ones, for they hold the head and the embedding too.

    >>> chunks_of(62, 32)[:3], chunks_of(62, 32)[-2:], chunks_of(5, 2), chunks_of(2, 4)
    ([1, 2, 2], [2, 1], [3, 2], [0, 1, 1, 0])
    """
    most = -(-n_slots // n_chunks)
    sizes = [most] * n_chunks
    spare = most * n_chunks - n_slots
    order = [n_chunks - 1, 0, *range(n_chunks - 2, 0, -1)]
    for place in order[:spare]:
        sizes[place] -= 1
    return sizes


def layout_text(n_layers: int, n_mtp: int, n_chunks: int) -> str:
    """A layout that Megatron reads, with those sizes.

    >>> layout_text(5, 1, 3)
    'Ett|tt|tmL'
    """
    sizes = chunks_of(n_layers + n_mtp, n_chunks)
    slots = "t" * n_layers + "m" * n_mtp
    chunks = []
    for size in sizes:
        chunks.append(slots[:size])
        slots = slots[size:]
    chunks[0] = "E" + chunks[0]
    chunks[-1] += "L"
    return "|".join(chunks)
