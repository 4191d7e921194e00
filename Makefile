# shmetrics. `make help` lists the verbs; each sets up what it needs (scripts/setup.sh).

PREFIX  ?= /usr/local
DESTDIR ?=
DEMO_SECONDS ?= 20
DEMO_FLAGS ?=
FUZZ_RUNS ?= 1000000
FUZZ_FLAGS ?=
RELEASE_FLAGS ?=
export PREFIX DESTDIR

.DEFAULT_GOAL := help
.PHONY: help build install uninstall demo check test long fuzz bench header python nginx deb rpm packages static site release fmt lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the library (.so, .a, crate) and the command, optimised
	@scripts/setup.sh build
	cargo build --release --workspace

# Root takes what `make build` of another user has built: it may have no Rust, and its files in
# target/ could not be replaced by that user.
install: ## libraries, headers, pkg-config and CMake files, and the command, below PREFIX
	@built="$${CARGO_TARGET_DIR:-target}/release/libshmetrics.so"; \
	if [ -e "$$built" ] && ! { [ -O "$$built" ] && command -v cargo > /dev/null; }; then \
	    echo "installing what make build has built"; \
	else \
	    $(MAKE) --no-print-directory build; \
	fi
	packaging/install.sh

uninstall: ## what `make install` installed below PREFIX
	packaging/install.sh --uninstall

demo: ## a prefork server in C, C++ and Rust under load and SIGKILLs, every page checked (DEMO_SECONDS=20; 0: until Ctrl-C)
	@scripts/setup.sh build
	cargo build --release --workspace
	PREFIX="$(CURDIR)/target/demo-prefix" DESTDIR= packaging/install.sh
	PREFIX="$(CURDIR)/target/demo-prefix" DEMO_SECONDS=$(DEMO_SECONDS) examples/prefork/run.sh $(DEMO_FLAGS)

check: ## the fast loop: formatting, layers, clippy and unit tests; two minutes after a build
	scripts/test.sh format layers lint unit

test: ## everything: Rust, C, C++, sanitizers, valgrind, promtool, Pushgateway, Prometheus, the demo
	@scripts/setup.sh test
	scripts/test.sh

long: ## the long forms of the storm, race, crash and interop tests
	@scripts/setup.sh test
	SHMETRICS_LONG=1 SHMETRICS_RACE_ROUNDS=1000 scripts/test.sh

fuzz: ## the fuzz targets, one after another (FUZZ_RUNS=1000000 inputs each); see fuzz/README.md
	@scripts/setup.sh build
	fuzz/run.sh $(FUZZ_FLAGS) $(FUZZ_RUNS)

bench: ## ours and the rivals side by side; writes the tables and plots of docs/benchmarks* (5 minutes; BENCH_FULL=1: longer, steadier)
	@scripts/setup.sh bench
	benches/rivals/run.sh

header: ## include/shmetrics.h, from src/capi
	@scripts/setup.sh header
	@scripts/header.sh > target/shmetrics.h # only a whole one replaces the old one
	mv target/shmetrics.h include/shmetrics.h

python: ## the Python package: wheels and sdist in target/wheels
	@scripts/setup.sh python
	bindings/python/build.sh

nginx: ## the nginx modules in target/nginx, for the installed nginx; they find the library below PREFIX
	@scripts/setup.sh nginx
	cargo build --release --lib
	bindings/nginx/build.sh

deb: ## Debian packages of the committed tree, in target/deb, for the installed nginx
	@scripts/setup.sh packages
	packaging/deb.sh

rpm: ## RPM packages of the committed tree, in target/rpm
	@scripts/setup.sh packages
	packaging/rpm.sh

packages: deb ## tries the Debian packages in clean systems of Debian 12 and 13: installs, uses, upgrades, purges
	packaging/test.sh

static: ## the command as one static file, in target/static; packaging/container makes an image of it
	@scripts/setup.sh static
	packaging/static.sh

site: ## the documentation as web pages, in target/site, each link followed
	@scripts/setup.sh site
	target/site-venv/bin/python packaging/site/build.py target/site

release: ## everything of a release, of the committed tree, in dist/ (RELEASE_FLAGS=--once: one build; see packaging/release.sh)
	@scripts/setup.sh release
	packaging/release.sh $(RELEASE_FLAGS)

fmt: ## format the Rust, C and C++ code
	scripts/format.sh

lint: ## formatting, layers, clippy, documentation, licences
	scripts/test.sh format layers clippy docs licences

clean: ## what builds have made
	cargo clean
