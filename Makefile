# make demo   see it work on real traces        make test   everything CI runs
# make check  types, style, layers              make bench  figures into out/bench.json
# make faults an etcd cluster under faults, FAULTS_MINUTES=10 SEED=1
.PHONY: setup servers demo test check faults bench pins clean
BIN := .venv/bin
PYTEST_ARGS ?=
FAULTS_MINUTES ?= 10
SEED ?= 1

setup:
	@tools/setup.sh

# etcd and Consul for tests and figures, in .servers
servers:
	@tools/servers.sh

demo: setup
	@$(BIN)/addrcast demo

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: check servers
	$(BIN)/coverage erase
	HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-ci} $(BIN)/coverage run -m pytest $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --include='src/addrcast/core/*' --fail-under=100
	$(BIN)/coverage report --skip-covered --format=total

# in rounds of a minute, each with the next seed; what breaks is kept under out/faults/<seed>
faults: setup servers
	$(BIN)/python -m tests.faults --minutes $(FAULTS_MINUTES) --seed $(SEED)

bench: setup servers
	$(BIN)/python -m benchmarks

# Needs uv (any recent version); the files bear hashes and name no index.
pins:
	@for extra in server etcd consul arima prophet dask demo dev; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --extra $$extra pyproject.toml -o requirements/$$extra.txt; done
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml -o requirements/base.txt

clean:
	rm -rf out .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
