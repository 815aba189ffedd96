# Everything here also works without make: see bootstrap.py.
PYTHON ?= python3
RUN = $(PYTHON) bootstrap.py python

.PHONY: check format docs accuracy fit bench wheel clean

check:   ## the whole bar, the same here and in CI
	$(PYTHON) bootstrap.py check

format:  ## rewrite the sources as the check wants them
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

docs:    ## rewrite what stands between cog marks
	$(PYTHON) bootstrap.py docs

accuracy: ## draw estimated against published again: docs/accuracy_training.svg and docs/accuracy_serving.svg
	$(RUN) docs/_accuracy.py

fit:     ## fit the constants of catalog/data again: make fit MEASUREMENTS=folder
	$(RUN) bench/fit_operations.py $(MEASUREMENTS)/operations
	$(RUN) bench/fit_training.py $(MEASUREMENTS)/training.csv --write --folds bench/results/training_folds.json
	$(RUN) bench/fit_serving.py $(MEASUREMENTS)/serving.csv --write --folds

bench:   ## how fast the model is on this machine, kept in bench/results
	$(RUN) bench/plan_rate.py --keep bench/results/plan_rate.json
	$(RUN) bench/search_rate.py --keep bench/results/search_rate.json
	$(RUN) bench/process_rate.py --keep bench/results/process_rate.json
	$(RUN) bench/sweep_rate.py --keep bench/results/sweep_rate.json
	$(RUN) bench/serve_rate.py --keep bench/results/serve_rate.json
	$(RUN) bench/sensitivity.py --keep bench/results/sensitivity.json
	$(RUN) bench/ui_rate.py --keep bench/results/ui_rate.json

wheel:   ## dist/clustercast-*.whl and the source archive
	$(RUN) -m build

clean:   ## whatever can be made again, the environment included
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find src tests bench docs -name __pycache__ -type d -prune -exec rm -rf {} +
