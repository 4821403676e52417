# binauthd: build, see, test. `make help` lists the targets.
#
# The demo, the tests and the benches run a private containerd, with root's rights, in a folder of
# their own under $TMPDIR or /tmp; a containerd that this machine already has is not touched. What
# they run besides cargo's own is fetched into target/rig by tests/rig/install.sh.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CARGO ?= cargo
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
# What `build` and `package` build for: `make package TARGET=aarch64-unknown-linux-gnu` for arm64 nodes.
TARGET ?= $(HOST)
GATE := $(TARGET_DIR)/$(TARGET)/gate
RELEASE := $(TARGET_DIR)/release
ifneq ($(TARGET),$(HOST))
RELEASE := $(TARGET_DIR)/$(TARGET)/release
CROSS := --target $(TARGET)
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER := aarch64-linux-gnu-gcc
export CC_aarch64_unknown_linux_gnu := aarch64-linux-gnu-gcc
endif
GATE_PROGRAMS := binauthd-image-verifier binauthd-create-hook binauthd-runc
GATE_BINS := $(addprefix --bin ,$(GATE_PROGRAMS))
# Programs that the setup may have fetched.
export PATH := $(abspath target/rig/bin):$(PATH)
# The packages that the booted node of the tests installs.
export BINAUTHD_PACKAGES := $(TARGET_DIR)/package-test
# The gate programs that demo, tests and benches give to containerd.
export BINAUTHD_VERIFIER := $(GATE)/binauthd-image-verifier
export BINAUTHD_CREATE_HOOK := $(GATE)/binauthd-create-hook
export BINAUTHD_RUNC := $(GATE)/binauthd-runc

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: root
root:
	@[ "$$(id -u)" -eq 0 ] || { echo "make: this runs containers and needs root: try \`sudo -E env PATH=\$$PATH make ...\`" >&2; exit 1; }

.PHONY: setup
setup: ## Fetch what demo and tests run: containerd 2.1, runc, a registry (needs root where tools are missing)
	tests/rig/install.sh

.PHONY: build
build: gate ## What is shipped, in target/release: the daemon, binauthctl, binauth-store, the static gate programs
	$(CARGO) build --locked --release $(CROSS) --features store --bin binauthd --bin binauthctl --bin binauth-store
	install -m 755 -t $(RELEASE) $(addprefix $(GATE)/,$(GATE_PROGRAMS))

.PHONY: gate
gate: ## The static gate programs alone, as containerd and runc execute them
	RUSTFLAGS='-C target-feature=+crt-static' $(CARGO) build --locked --profile gate --target $(TARGET) \
		--no-default-features $(GATE_BINS)

.PHONY: package
package: cross build ## Packages in target/package: .deb, .rpm, bills of materials, checksums; TARGET=aarch64-unknown-linux-gnu for arm64
	tests/rig/install.sh --deb --rpm
	packaging/build.sh --rpm --sbom $(CROSS) $(RELEASE) $(TARGET_DIR)/package$(addprefix -,$(filter-out $(HOST),$(TARGET)))

.PHONY: cross
cross:
	$(if $(CROSS),tests/rig/install.sh --cross $(TARGET))

# Packages of what the tests are built with, and by the same command: another one would build half of it again.
.PHONY: package-test
package-test: gate
	tests/rig/install.sh --deb
	$(CARGO) test --locked --no-run
	install -m 755 -t $(TARGET_DIR)/debug $(addprefix $(GATE)/,$(GATE_PROGRAMS))
	packaging/build.sh --fast $(TARGET_DIR)/debug $(BINAUTHD_PACKAGES)

.PHONY: demo
demo: root setup gate ## See it allow and refuse, on a private containerd (root)
	@program=$$($(CARGO) test --locked --no-run --test demo --message-format json-render-diagnostics | \
		sed -n 's/.*"executable":"\([^"]*\/demo-[^"]*\)".*/\1/p'); \
	exec "$$program"

.PHONY: lint
lint: ## Formatting, clippy with warnings denied, licences, bans and sources of dependencies
	tests/rig/install.sh --cargo-deny
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path tests/fuzz/Cargo.toml
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --test demo -- -D warnings
	$(CARGO) clippy --locked --no-default-features $(GATE_BINS) --lib -- -D warnings
	$(CARGO) deny --locked check bans licenses sources

.PHONY: test
test: root lint package-test ## Everything that must hold, end to end on a private containerd (root)
	tests/rig/install.sh --browser
	$(CARGO) test --locked

.PHONY: fuzz
fuzz: ## Every parser and the check against made-up input, FUZZ_SECONDS (300) for each target
	tests/fuzz/run.sh

.PHONY: test-full
test-full: test test-store ## The same, and what takes minutes: kill loops, longer floods, the .rpm, the store, fuzzing (root)
	tests/rig/install.sh --rpm
	packaging/build.sh --fast --rpm $(TARGET_DIR)/debug $(BINAUTHD_PACKAGES)
	packaging/rpm/check.sh $(BINAUTHD_PACKAGES)
	$(CARGO) test --locked --test e2e --test node --test sources -- --ignored --nocapture --test-threads 1
	FUZZ_SECONDS=30 tests/fuzz/run.sh

# A feature that is not on by default: its SQLite and its PostgreSQL take minutes to build.
.PHONY: test-store
test-store: root gate ## binauth-store on SQLite and PostgreSQL, and a node that follows it (root)
	tests/rig/install.sh --clients --deb --postgres
	$(CARGO) clippy --locked --features store --all-targets -- -D warnings
	$(CARGO) test --locked --features store --test store --test sources
	$(CARGO) test --locked --features store --lib store::
	install -m 755 -t $(TARGET_DIR)/debug $(addprefix $(GATE)/,$(GATE_PROGRAMS))
	packaging/build.sh --fast $(TARGET_DIR)/debug $(BINAUTHD_PACKAGES)
	$(CARGO) test --locked --features store --test node -- store

.PHONY: bench
bench: root gate ## One table of how fast it is, beside cosign and notation (root)
	tests/rig/install.sh --bench
	$(CARGO) bench --locked --no-run
	$(CARGO) bench --locked --bench judge
	$(CARGO) bench --locked --bench gate

.PHONY: bench-store
bench-store: root ## binauth-store with a million occurrences, on SQLite and PostgreSQL (root)
	tests/rig/install.sh --postgres
	$(CARGO) bench --locked --features store --bench store

.PHONY: manual
manual: ## Write anew what is made from the code: man pages, completions
	BINAUTHD_UPDATE=1 $(CARGO) test --locked --test manual

.PHONY: clean
clean: ## Remove what was built and fetched
	$(CARGO) clean
