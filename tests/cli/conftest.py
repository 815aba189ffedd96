"""Every test here may run commands."""

import pytest
from command_line import Cli, Done

from clustercast.cli import app

COMPILING = "compiling the formulas for this machine (once, about ten seconds) ...\n"  # whoever comes first


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*arguments: str) -> Done:
        status = app.run(arguments)
        out, err = capsys.readouterr()
        return Done(status, out, err.replace(COMPILING, ""))

    return run
