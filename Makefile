# The commands a user needs. `make example` and `make test` set up what is missing by themselves.
SWIFT ?= swift
SOURCES = Sources Conformance GPUCheck Tests Examples Benchmarks Fuzz Package.swift

.PHONY: setup example test test-asan fuzz lint bench format docs check-cuda gpu-check clean

setup:
	@Scripts/setup.sh

example: setup
	$(SWIFT) build -c release --product MiniGPT
	$$($(SWIFT) build -c release --show-bin-path)/MiniGPT --out minigpt.safetensors

# One test after the other: some count memory or set the number of threads, which belong to the whole process.
test: setup lint
	$(SWIFT) build -c release -Xswiftc -enable-testing --build-tests
	$(SWIFT) test -c release -Xswiftc -enable-testing --skip-build --no-parallel
	$$($(SWIFT) build -c release --show-bin-path)/Conformance Tests/Goldens
	$(SWIFT) run -c release --package-path Tests/ClientPackage --scratch-path .build-client Client

# The tests once more with every access to memory checked; without those that plant faults in kernels, which are faults there too.
test-asan: setup
	$(SWIFT) build -c release -Xswiftc -enable-testing --sanitize=address --build-tests --scratch-path .build-asan
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test -c release -Xswiftc -enable-testing --sanitize=address --skip-build --no-parallel \
		--scratch-path .build-asan --skip FailureTests --skip memoryIsReused --skip faults

lint:
	$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)

bench: setup
	$(SWIFT) build -c release --product Benchmarks
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $$($(SWIFT) build -c release --show-bin-path)/Benchmarks

format:
	$(SWIFT) format --in-place --parallel --recursive $(SOURCES)

docs: setup
	$(SWIFT) package --allow-writing-to-directory DocC generate-documentation --target Tapestry --output-path DocC

# The driver's declarations against NVIDIA's headers, and the committed PTX against its sources. Fetches NVIDIA's tools from PyPI.
check-cuda:
	Scripts/check-cuda-abi
	Scripts/build-kernels --check

# A folder with the program GPUCheck and its libraries, to be copied to a machine with a GPU.
gpu-check: setup
	Scripts/gpu-check

clean:
	rm -rf .build .build-asan .build-fuzz .build-static .build-client DocC

# One libFuzzer run per parser of files, FUZZ_SECONDS each; what it finds stays in .build-fuzz.
FUZZ_SECONDS ?= 60
fuzz: setup
	Scripts/fuzz $(FUZZ_SECONDS)
