# The commands a user needs. `make example` and `make test` set up what is missing by themselves.
SWIFT ?= swift
SOURCES = Sources Conformance Tests Examples Benchmarks Package.swift

.PHONY: setup example test lint bench format docs clean

setup:
	@Scripts/setup.sh

example: setup
	$(SWIFT) build -c release --product MiniGPT
	$$($(SWIFT) build -c release --show-bin-path)/MiniGPT --out minigpt.safetensors

# One test after the other: some count memory or set the number of threads, which belong to the whole process.
test: setup lint
	$(SWIFT) build -c release -Xswiftc -enable-testing --build-tests
	$(SWIFT) test -c release -Xswiftc -enable-testing --skip-build --no-parallel
	$(SWIFT) run -c release --package-path Tests/ClientPackage --scratch-path .build-client Client

lint:
	$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)

bench: setup
	$(SWIFT) build -c release --product Benchmarks
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $$($(SWIFT) build -c release --show-bin-path)/Benchmarks

format:
	$(SWIFT) format --in-place --parallel --recursive $(SOURCES)

docs: setup
	$(SWIFT) package --allow-writing-to-directory DocC generate-documentation --target Tapestry --output-path DocC

clean:
	rm -rf .build .build-client DocC
