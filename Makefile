# genomed: everything a person types. `make` alone lists it.
#
# The environment is kept in .venv and made when first needed, again when pyproject.toml or constraints.txt change.
# It needs Python 3.11 or newer and nothing else. pip's own settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS,
# pip.conf) say where packages come from: with PyTorch's CPU index among them torch comes without CUDA.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo demo-flywheel demo-embeddings demo-export engines test crash check bench serve clean constraints

# 3.11 first: it is what constraints.txt was tried with. A name on PATH may be a shim that does not run, so each is asked.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(if $(shell \
	$(name) -c 'import sys, venv, ensurepip; print("yes" if sys.version_info >= (3, 11) else "")' 2>/dev/null),$(name))))

BIN := .venv/bin
READY := .venv/.ready
WORKERS ?= 2
KILLS ?= 1000

# pyright runs on the node that came with it, whatever else is installed.
export PYRIGHT_PYTHON_GLOBAL_NODE := 0
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## the main job, visible: capture, trigger, train, judge, adopt (a few minutes)
	@$(BIN)/python examples/demo.py

demo-flywheel: $(READY) ## from Phoenix traces to an adopted layer (a few minutes)
	@$(BIN)/python examples/flywheel.py

demo-embeddings: $(READY) ## an encoder learns from triplets to find passages (a minute or two)
	@$(BIN)/python examples/embeddings.py

demo-export: $(READY) ## a layer is proved, merged, exported, quantized, asked with and without torch (a few minutes)
	@$(BIN)/python examples/export.py

engines: $(READY) ## the environments of engines that tests can use here (mlx), below build/engines
	@$(BIN)/genome engine install mlx --data build --yes

test: $(READY) ## all tests, WORKERS=2 at a time; make test ARGS="-k journal" for some
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# Everything that records what it tried (tests/fault_record.py) runs here, whatever its marks; the kills come last.
crash: $(READY) ## every enumeration, and KILLS=1000 kills of a real daemon; writes docs/reliability.md (40 minutes)
	@record="$$(mktemp)"; export GENOMED_FAULT_RECORD="$$record"; failed=0; \
	  $(BIN)/python -m pytest -n $(WORKERS) -m "long or crash or fault" $(ARGS) || failed=1; \
	  $(BIN)/python -m tests.crash.kills --kills $(KILLS) --out build/kills || failed=1; \
	  $(BIN)/python -m tests.fault_table "$$record" --write; exit "$$failed"

check: $(READY) ## format, lint, types (two readers), import contracts, house laws
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/test_laws.py

bench: $(READY) ## side by side with what one would use instead; prints the table
	@$(BIN)/python -m benchmarks $(ARGS)

serve: $(READY) ## the daemon in the foreground; make serve ARGS="--data-dir DIR"
	@$(BIN)/genomed $(ARGS)

clean: ## removes the environment, caches and build outputs; never a data folder
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# Upgrading: loosen nothing here; `.venv/bin/pip install -U NAME`, `make test`, then this target writes down what was tried.
# The local part of a version (+cpu) is dropped, so that the same file serves machines with a GPU.
constraints: $(READY) ## writes constraints.txt from what .venv holds now
	@{ \
	  printf '%s\n' '# Exact versions as tried together (Python 3.11). Written by `make constraints`; torch first, see Makefile.'; \
	  $(BIN)/python -m pip freeze --exclude-editable | grep '^[A-Za-z0-9._-]*==' | sed 's/+.*//' \
	    | awk '/^torch==/ {print; next} {rest = rest $$0 "\n"} END {printf "%s", rest}'; \
	} > constraints.txt.new
	@mv constraints.txt.new constraints.txt && touch $(READY) && wc -l constraints.txt

# torch goes first and alone: a CPU build at hand (2.13.0+cpu satisfies 2.13.0, and sorts above it) is then settled before
# anything that depends on torch could ask for another.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "genomed needs Python 3.11 or newer with venv; none was found. Try: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "genomed needs Python 3.11 or newer, and $(PYTHON) is not. Try: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "setting up .venv with $$("$(PYTHON)" --version) (once; about 2 GB unpacked)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install --quiet -c constraints.txt "$$(grep -m1 '^torch==' constraints.txt)"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[local,tensorboard,wandb,openai,fireworks,together,phoenix,keyring,otel,dev]'
	@touch $@
