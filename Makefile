# Semper's front door. Each command does all of its own set-up: it installs the Debian packages that
# are missing (tools/setup), configures a CMake preset and builds what it needs. The rest of the build
# is in CMakeLists.txt and CMakePresets.json, usable without this file.

PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc)
# Arguments for the program that `make run` starts, and for each benchmark.
ARGS ?=

export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
# Half as many again: many tests wait for real time, or for a server.
export CTEST_PARALLEL_LEVEL := $(shell expr $(JOBS) + $(JOBS) / 2)

.DEFAULT_GOAL := help
.PHONY: help run test asan tsan bench install package format clean setup
.DELETE_ON_ERROR:

help:
	@echo 'make run       the main job: your dpkg log through durable servers, checked against dpkg'
	@echo 'make test      build and run every test'
	@echo 'make asan      the unit tests under the address and undefined behaviour sanitizers'
	@echo 'make tsan      the unit tests under the thread sanitizer'
	@echo 'make bench     the benchmarks, on an otherwise idle machine'
	@echo 'make install   library, tool and package files, to DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)'
	@echo 'make package   Debian packages of the same, in build/package'
	@echo 'make format    clang-format over our sources'
	@echo 'make clean     remove build/'
	@echo
	@echo 'Missing Debian packages are installed first, as root or through sudo (tools/setup).'

setup:
	@tools/setup

build/%/build.ninja: CMakePresets.json | setup
	cmake --preset $*
	@touch $@

run: setup build/release/build.ninja
	@cmake --build --preset release --target semper semper-packages
	@build/release/examples/packages/semper-packages $(ARGS)

test: setup build/dev/build.ninja
	@cmake --build --preset dev
	ctest --preset dev

asan: setup build/asan-ubsan/build.ninja
	@cmake --build --preset asan-ubsan
	ctest --preset asan-ubsan

tsan: setup build/tsan/build.ninja
	@cmake --build --preset tsan
	ctest --preset tsan

bench: setup build/release/build.ninja
	@cmake --build --preset release --target semper_benchmarks
	@bench/run build/release/bench $(ARGS)

install: setup build/release/build.ninja
	@cmake --build --preset release --target semper_product
	DESTDIR='$(DESTDIR)' cmake --install build/release --prefix '$(PREFIX)'

package: setup build/release/build.ninja
	@cmake --build --preset release --target semper_product
	cd build/release && cpack -G DEB -B ../package

format:
	@command -v clang-format >/dev/null || { echo 'make format needs clang-format: apt-get install clang-format' >&2; exit 1; }
	git ls-files '*.h' '*.cc' '*.c' | xargs clang-format -i

clean:
	rm -rf build
