"""What a user can get wrong, and questions that have no answer. The command line turns these into exit statuses."""

from typing import Final

EXIT_DONE: Final = 0
EXIT_OUR_FAULT: Final = 1
EXIT_WRONG_INPUT: Final = 2
EXIT_NO_ANSWER: Final = 3

Number = int | float | str | None


class ClustercastError(Exception):
    """Says where, what is wrong and what was expected in one lower-case line, with a hint if there is a good guess."""

    exit_status = EXIT_OUR_FAULT

    def __init__(self, message: str, *, hint: str | None = None, numbers: dict[str, Number] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.numbers = numbers or {}


class WrongInput(ClustercastError):
    """The input is wrong: an unknown name, a broken file, a plan that breaks divisibility."""

    exit_status = EXIT_WRONG_INPUT


class NoAnswer(ClustercastError):
    """The input is right but nothing meets it; `numbers` holds what was needed and what there is."""

    exit_status = EXIT_NO_ANSWER
