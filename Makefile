# Everything here also works without make: see bootstrap.py.
PYTHON ?= python3
RUN = $(PYTHON) bootstrap.py python

.PHONY: check format docs fit bench wheel clean

check:   ## the whole bar, the same here and in CI
	$(PYTHON) bootstrap.py check

format:  ## rewrite the sources as the check wants them
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

docs:    ## rewrite what stands between cog marks
	$(PYTHON) bootstrap.py docs

fit:     ## fit the constants of catalog/data to the measurements
	set -e; for script in bench/fit_*.py; do $(RUN) $$script; done

bench:   ## how fast the model is on this machine
	$(RUN) bench/plan_rate.py

wheel:   ## dist/clustercast-*.whl and the source archive
	$(RUN) -m build

clean:   ## whatever can be made again, the environment included
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find src tests bench docs -name __pycache__ -type d -prune -exec rm -rf {} +
