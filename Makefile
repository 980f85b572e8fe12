# The front door. `make demo` and `make test` install what is missing, build and run.

RUN_DIR ?= runs/demo
WORKLOADS ?=
BASE ?=
DEVICE ?= cpu
DIGITS := build/data/digits.png

.PHONY: help demo test test-full check tidy bench docs format clean

help:
	@echo "make demo       train LeNet on real handwritten digits"
	@echo "make test       build and run the tests, with sanitizers and source checks"
	@echo "make test-full  every test there is, under every configuration"
	@echo "make check      format, layer and file checks alone"
	@echo "make tidy       clang-tidy on what differs from the remote's main branch, or from BASE=COMMIT"
	@echo "make bench      speed against the last commit (BASE=COMMIT), pair by pair; fails above 5 %"
	@echo "make docs       write docs/ops anew from the ops' records"
	@echo "make format     format the sources"
	@echo "make clean      remove the build tree"

demo:
	@scripts/setup.sh build
	@cmake --preset demo -Wno-dev >/dev/null
	@cmake --build --preset demo --target ingot_cli
	@scripts/fetch_digits.sh $(DIGITS)
	@build/demo/bin/ingot train --model lenet --data digits:$(DIGITS) --epochs 15 --batch 32 \
	  --lr 0.05 --schedule one-cycle --shift 2 --seed 1 --out $(RUN_DIR)
	@echo "The run folder is $(abspath $(RUN_DIR))"

test:
	@scripts/setup.sh test
	@python3 scripts/verify.py test

test-full:
	@scripts/setup.sh full
	@python3 scripts/verify.py full

check:
	@python3 scripts/format.py --check
	@python3 scripts/check_layers.py
	@python3 scripts/check_files.py

tidy:
	@scripts/setup.sh full
	@cmake --preset release -Wno-dev >/dev/null
	@python3 scripts/tidy.py $(if $(BASE),--base $(BASE))

bench:
	@scripts/setup.sh build
	@python3 scripts/bench_pairs.py --device $(DEVICE) $(if $(BASE),--base $(BASE)) $(WORKLOADS)

docs:
	@scripts/setup.sh test
	@cmake --preset release -Wno-dev >/dev/null
	@cmake --build --preset release --target test_docs
	@UPDATE_DOCS=1 build/release/tests/test_docs --gtest_brief=1

format:
	@scripts/setup.sh test
	@python3 scripts/format.py

clean:
	@cmake -E rm -rf build
