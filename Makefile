# SPDX-License-Identifier: Apache-2.0
# A thin front of Meson and of the project's scripts; all logic is there.

BUILD ?= asan

.PHONY: all test unit system interop bench demo demo-check lint format fuzz conformance docs install \
	deb sim clean

all:
	@tools/install build
	@tools/build release src/daemon/sarsen
	@ln -sf release/src/daemon/sarsen build/sarsen

test: all
	@tools/install build test interop
	@python3 tools/test.py $(BUILD)

interop: all
	@tools/install build test interop
	@python3 tools/test.py $(BUILD) $@

unit system: all
	@tools/install build test
	@python3 tools/test.py $(BUILD) $@

sim: all
	@tools/install build test
	@python3 tools/test.py $(BUILD) $@

bench: all
	@tools/install build bench
	@python3 bench/run.py
	@python3 bench/registry.py

demo: all
	@python3 examples/shop/demo.py

demo-check: all
	@python3 examples/shop/demo.py --check

lint:
	@tools/install build lint
	@tools/lint

format:
	@tools/install lint
	@git ls-files '*.c' '*.h' | xargs clang-format-14 -i

fuzz:
	@tools/install build test
	@tools/fuzz.sh

conformance: all
	@tools/install build test peers
	@PYTHONPATH=test:test/system /usr/bin/python3 -m conformance.compare

docs: all
	@build/sarsen config reference > docs/operate/config.md

install: all
	@meson install -C build/release

deb: all
	@tools/install build test
	@SARSEN_BINARY=build/release/src/daemon/sarsen packaging/build

clean:
	@rm -rf build
