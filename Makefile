# The doors of the house. `make demo` and `make test` need nothing but git, make and a Debian or Ubuntu.
BUILD ?= build
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
CMAKE_FLAGS ?=
MODELS ?= $(or $(DS_MODELS),models)
export JOBS

.DEFAULT_GOAL := all
.PHONY: all help deps tools demo test test-real asan tsan fuzz format format-check tidy docs install deb clean

all: $(BUILD)/build.ninja ## build everything into build/
	@cmake --build $(BUILD) -j $(JOBS)

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | \
	  while IFS='|' read -r name text; do printf '  make %-13s %s\n' "$$name" "$$text"; done

deps: ## install the packages that are missing (Debian 12, Ubuntu 24.04)
	@scripts/make/install_deps.sh

$(BUILD)/build.ninja: CMakeLists.txt tests/CMakeLists.txt | deps
	@scripts/make/configure.sh $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_FLAGS)

tools: $(BUILD)/build.ninja ## the programs without their tests
	@cmake --build $(BUILD) -j $(JOBS) --target tools

demo: tools ## install, build, and let the embedded model answer
	@scripts/demo/demo.sh $(BUILD)

test: all ## everything that must hold, with a closing count
	@scripts/check/run_tests.sh $(BUILD)

test-real: tools ## greedy answers of SmolLM2-135M against transformers (needs the network once)
	@scripts/check/real_answers.sh $(BUILD) $(MODELS)

# One tree for both: clang, AddressSanitizer, UndefinedBehaviorSanitizer and the fuzzer's counters.
asan: ## unit tests under AddressSanitizer and UndefinedBehaviorSanitizer; clang
	@scripts/make/install_deps.sh --ci
	@scripts/make/configure_fuzz.sh $(BUILD)-asan
	@cmake --build $(BUILD)-asan -j $(JOBS) --target unit_tests
	@scripts/check/run_tests.sh $(BUILD)-asan -L unit

tsan: deps ## tests of threaded rooms under ThreadSanitizer
	@scripts/make/configure.sh $(BUILD)-tsan -DDS_SANITIZE=thread $(CMAKE_FLAGS)
	@cmake --build $(BUILD)-tsan -j $(JOBS) --target thread_tests
	@scripts/check/run_tests.sh $(BUILD)-tsan -L threads

fuzz: ## every reader's fuzz target for FUZZ_SECONDS (20) each; clang
	@scripts/make/install_deps.sh --ci
	@scripts/check/run_fuzzers.sh $(BUILD)-asan

format: ## clang-format every source in place
	@scripts/check/format.sh --fix

format-check: ## say which sources clang-format would change
	@scripts/check/format.sh

tidy: $(BUILD)/build.ninja ## clang-tidy over lib/ and tools/
	@command -v clang-tidy > /dev/null || { echo "tidy: clang-tidy is missing: apt-get install clang-tidy"; exit 1; }
	@find lib kernels tools -name '*.cpp' -print0 | xargs -0 -n 1 -P $(JOBS) clang-tidy -p $(BUILD) --quiet

docs: tools ## man pages and completions for bash, zsh and fish, from the tools' own option tables
	@scripts/make/docs.sh $(BUILD)

install: docs ## tools, model, evaluation sets, man pages, completions under PREFIX (/usr/local)
	@cmake --install $(BUILD) --prefix $(PREFIX)

deb: docs ## a Debian package in BUILD/
	@command -v dpkg-shlibdeps > /dev/null || { echo "deb: dpkg-shlibdeps is missing: apt-get install dpkg-dev"; exit 1; }
	@cpack --config $(BUILD)/CPackConfig.cmake -B $(BUILD) > $(BUILD)/cpack.log || { cat $(BUILD)/cpack.log; exit 1; }
	@ls $(BUILD)/dstools_*.deb

clean: ## remove what was built
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan
