"""A process that answers one question after another: `python -m clustercast.ui.worker`.

It reads a line of JSON {"verb": …, "fields": {…}} and writes a line "status length" and so many bytes of JSON. It says
"ready" when its first answer will be quick, and ends when nobody writes to it any more.
"""

import json
import os
import signal
import sys
from typing import BinaryIO, Final

READY: Final = b"ready\n"
COLLECT_EVERY: Final = 100  # answers
WARM: Final = {"chip": "h100", "model": "llama-3.1-8b", "count": 64}  # a search: loads the compiled loops


def main() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the server is told and ends its workers
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints shall not lie between answers
    warm()
    replies.write(READY)
    replies.flush()
    serve(sys.stdin.buffer, replies)


def warm() -> None:
    """Do everything once that the first question would wait for."""
    import gc

    from clustercast.ui import answers, questions

    for verb in ("options", "chips", "models"):
        answers.answer(verb, {})
    answers.answer("board", questions.Estimate.model_validate(WARM).model_dump())
    gc.collect()
    gc.freeze()
    gc.disable()  # answers leave few cycles: `serve` looks for them now and then


def serve(asked: BinaryIO, replies: BinaryIO) -> None:
    """Read questions and write answers until there is no more."""
    import gc

    from clustercast.report.json import finite
    from clustercast.ui import answers

    for number, line in enumerate(asked):
        if number % COLLECT_EVERY == COLLECT_EVERY - 1:
            gc.collect()
        question = json.loads(line)
        status, document = answers.answer(question["verb"], question["fields"])
        body = json.dumps(finite(document), separators=(",", ":"), allow_nan=False, default=str).encode()
        replies.write(b"%d %d\n" % (status, len(body)))
        replies.write(body)
        replies.flush()


if __name__ == "__main__":
    main()
