"""The output of nccl-tests as a log: `studies.calibrate.nccl` reads it, whatever a launcher puts before its lines."""

import hashlib
from pathlib import Path

from clustercast.catalog import read
from clustercast.studies.calibrate import files, nccl


def looks_like(content: str) -> bool:
    """Whether a text is what nccl-tests print, as text or as JSON.

    >>> looks_like("#  size count type redop root time algbw busbw"), looks_like("step: 1 tps: 5")
    (True, False)
    """
    if nccl.looks_like(content):
        return True
    start = nccl.document_text(content).lstrip()
    return start.startswith("{") and '"results"' in start and '"out_of_place"' in start


def read_text(content: str, path: Path, stated: nccl.Stated) -> nccl.Told:
    """Every collective of a text. Raises WrongInput with the line for what is broken or missing."""
    text = nccl.document_text(content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\0", "\ufffd"))
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    return nccl.collectives(files.Source(read.shown(path), digest, text, files.COLLECTIVES), stated)
