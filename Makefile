# make claims   judge every claim and print where the report is
# make test     everything that guards the project: lint, types, tests/, the claims on the pinned epoch
# make portable the tests and the claims with the kernels of other processors, and on a busy machine
# make fresh    every property test on a hundred fresh epochs
# make grid     the deck's grid on Lipschitz constants and excess risk, with fresh data sets, in about a minute
# make mutants  do the tests notice faults that are put in by hand?
# make bench    how fast the seed-batched nets and the conv/BN block are
# make bench-compare BASE=main    is this checkout's HEAD slower than BASE?
# make certify  draw the 100 seeds of every statistical certificate anew (after a claim module changed)

PYTHON ?= python3
READY := .venv/.ready

.PHONY: claims test portable fresh grid mutants bench bench-compare certify clean

claims: $(READY)
	.venv/bin/pytest claims -n auto

test: $(READY)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/ty check
	.venv/bin/pytest tests -n auto
	.venv/bin/pytest claims -n auto

portable: $(READY)
	.venv/bin/python -m tests.portable

fresh: $(READY)
	.venv/bin/python -m tests.fresh

grid: $(READY)
	.venv/bin/python -m tests.grid

mutants: $(READY)
	.venv/bin/python -m tests.mutants

bench: $(READY)
	mkdir -p reports/benchmarks
	.venv/bin/pytest bench --benchmark-json=reports/benchmarks/benchmarks.json
	.venv/bin/python -m bench.report reports/benchmarks/benchmarks.json

bench-compare: $(READY)
	@test -n "$(BASE)" || { echo "Say what to compare with: make bench-compare BASE=main" >&2; exit 2; }
	.venv/bin/python -m bench compare $(BASE) $(FLAGS)

certify: $(READY)
	.venv/bin/pytest claims -n auto --claims-certify 100

$(READY): pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf .venv
