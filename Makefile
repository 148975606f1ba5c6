# make demo   install what is missing, build, and let the embedded model answer
# make test   everything that must hold, with a closing count
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: all deps demo test asan tsan fuzz format tidy clean
all: $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS)

$(BUILD)/build.ninja: CMakeLists.txt tests/CMakeLists.txt | deps
	@cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS) > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

deps:
	@scripts/install_deps.sh

demo: all
	@scripts/demo.sh $(BUILD)

test: all
	@scripts/run_tests.sh $(BUILD)

clean:
	rm -rf build build-*
