"""`python -m clustercast` is the `clustercast` command."""

import sys

from clustercast.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
