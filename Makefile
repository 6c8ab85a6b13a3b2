# SPDX-License-Identifier: Apache-2.0
# The front door; the work is done by CMake and tools/.
#
#   make            release build: build/bin/smqttd, build/bin/smqtt, build/lib/libsmqtt.*
#   make run        builds, shows the story end to end, then leaves a broker running
#   make demo       the story alone; BROKER=host:port: through that broker, whatever it is
#   make test       all that CI runs; last line `N passed, N failed`
#   make fuzz       T=name S=60: fuzzes one target or all, S seconds each
#   make bench      the measurements of docs/performance.md, less than ten minutes; QUICK=1: the brokers only, a minute
#   make overhead   sealed, plain and TLS 1.3 beside each other: bytes, latency, throughput; QUICK=1 or ROUNDS=n
#   make sim        SEED=n or SEEDS=a-b, WORKERS= STEPS= VERBOSE=1: runs the simulator of docs/reliability.md
#   make soak       a million messages of each QoS with 1, 2 and 4 workers while connections are cut, some minutes
#   make crash      ROUNDS=200: kills the broker with SIGKILL under load, starts it again, and counts
#   make paper      plays, attacks and measures the paper's own scheme beside S-MQTT 1.0: docs/paper.md, some minutes
#   make prove      the models and contracts of formal/, all of them, some minutes
#   make fmt        formats all C files
#   make install    PREFIX=/usr/local DESTDIR=
#   make clean      removes the build directories

T ?=
S ?= 60
QUICK ?= 0
BROKER ?=
PREFIX ?= /usr/local
SEED ?= 1
SEEDS ?=
WORKERS ?=
STEPS ?=
VERBOSE ?=
JOBS ?= $(shell nproc)
# A first build needs nothing that only tests need; a later one leaves the choice as it is.
TESTS = $(if $(wildcard build/CMakeCache.txt),,-DSMQTT_TESTS=OFF)

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := build
.PHONY: build run demo test fuzz bench overhead sim soak crash paper prove fmt install clean

build:
	@tools/setup.sh run
	@cmake --preset release --log-level=WARNING -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(TESTS) >/dev/null
	@cmake --build --preset release --target product -j$(JOBS)

run: build
	@tools/run.sh

demo: build
	@BROKER=$(BROKER) tools/demo.sh

test:
	@tools/test.sh

fuzz:
	@tools/setup.sh fuzz
	@tools/fuzz.sh $(S) $(T)

bench:
	@tools/setup.sh test
	@$(MAKE) build TESTS=-DSMQTT_TESTS=ON
	@QUICK=$(QUICK) tools/bench.sh

overhead:
	@tools/setup.sh test
	@$(MAKE) build
	@QUICK=$(QUICK) tools/bench_overhead.py build

sim:
	@tools/setup.sh test
	@$(MAKE) build TESTS=-DSMQTT_TESTS=ON
	@cmake --build --preset release --target sim -j$(JOBS)
	@build/bin/sim $(if $(SEEDS),--seeds $(SEEDS) --coverage,--seed $(SEED)) $(if $(WORKERS),--workers $(WORKERS)) \
		$(if $(STEPS),--steps $(STEPS)) $(if $(VERBOSE),--verbose)

soak:
	@tools/setup.sh test
	@$(MAKE) build TESTS=-DSMQTT_TESTS=ON
	@cmake --build --preset release --target soak -j$(JOBS)
	@tools/soak.sh

crash:
	@tools/setup.sh test
	@$(MAKE) build TESTS=-DSMQTT_TESTS=ON
	@cmake --build --preset release --target soak -j$(JOBS)
	@SMQTT_BIN=build/bin SMQTT_SOAK=build/tests/soak/soak python3 -B tests/soak/crash.py --rounds $(or $(ROUNDS),200) \
	    --change-workers --beside-mosquitto

paper:
	@tools/setup.sh paper
	@$(MAKE) build
	@cmake --build --preset release --target smqtt-paper smqtt-paper-beside -j$(JOBS)
	@python3 -B tools/paper.py --bin build/bin

prove:
	@tools/setup.sh prove
	@formal/symbolic.sh
	@formal/spin.sh full
	@formal/prove.sh

fmt:
	@tools/setup.sh fmt
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format-14 -i

install: build
	@cmake --install build

clean:
	rm -rf build build-*
