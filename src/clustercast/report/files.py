"""What a user asked to be written into a file."""

from pathlib import Path

from clustercast.errors import WrongInput


def write(option: str, content: str | bytes, path: str) -> None:
    """Write text, or bytes as they are. Raises WrongInput, in the option's name, where that fails."""
    try:
        if isinstance(content, str):
            Path(path).write_text(content, encoding="utf-8")
        else:
            Path(path).write_bytes(content)
    except OSError as error:
        raise WrongInput(f"{option}: {path!r} cannot be written: {(error.strerror or str(error)).lower()}") from None
