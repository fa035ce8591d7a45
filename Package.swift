// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "Tapestry",
    products: [
        .library(name: "Tapestry", targets: ["Tapestry"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-numerics", from: "1.0.0"),
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.4.0"),
    ],
    targets: [
        // The system's OpenBLAS and LAPACKE.
        .systemLibrary(
            name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev", "liblapacke-dev"])]),
        // The system's zlib, for zip entries and gzip files.
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CKernels", dependencies: ["COpenBLAS"], exclude: ["templates"]),
        // Fourier transforms by KISS FFT's header (apt: libkissfft-dev); builds without it, and then says so when one is called.
        .target(name: "CFFT", dependencies: ["CKernels"]),
        .target(
            name: "CoreTensor",
            dependencies: ["CFFT", "CKernels", "COpenBLAS", .product(name: "ComplexModule", package: "swift-numerics")]),
        // CUDA through the driver alone, opened at run time; the kernels' PTX is part of the library.
        .target(
            name: "CCUDA", exclude: ["kernels"], linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
        .target(name: "CUDABackend", dependencies: ["CCUDA", "CoreTensor"]),
        .target(name: "Autograd", dependencies: ["CoreTensor"]),
        .target(name: "NN", dependencies: ["CoreTensor", "Autograd", "COpenBLAS"]),
        .target(name: "Optimizers", dependencies: ["CoreTensor", "Autograd", "NN"]),
        .target(name: "Quantization", dependencies: ["CoreTensor", "NN"]),
        // PNG and JPEG by the system's libpng and libjpeg-turbo, whose errors are long jumps, which Swift cannot have.
        .target(name: "CImages", linkerSettings: [.linkedLibrary("png"), .linkedLibrary("jpeg")]),
        .target(name: "Data", dependencies: ["CImages", "CoreTensor", "CZlib", "NN", "Optimizers"]),
        .target(name: "Training", dependencies: ["CoreTensor", "Autograd", "NN", "Optimizers", "Data"]),
        .target(name: "Transformers", dependencies: ["CoreTensor", "Autograd", "NN", "Data"]),
        .target(name: "Serving", dependencies: ["CoreTensor", "Data", "Transformers"]),
        // Word vectors, by a kernel of their own.
        .target(name: "WordEmbeddings", dependencies: ["CKernels", "CoreTensor", "NN", "Data"]),
        .target(
            name: "Tapestry",
            dependencies: [
                "CoreTensor", "CUDABackend", "Autograd", "NN", "Optimizers", "Transformers", "Quantization", "Data", "Training",
                "Serving", "WordEmbeddings",
            ]),
        // Where the examples' data lies.
        .target(name: "ExampleData", path: "Examples/Data", exclude: ["README.md", "fashion-mnist", "shakespeare_8_plays.txt"]),
        .executableTarget(
            name: "MiniGPT",
            dependencies: ["Tapestry", "ExampleData", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/MiniGPT"),
        .executableTarget(
            name: "Digits",
            dependencies: ["Tapestry", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/Digits", exclude: ["Data"]),
        .executableTarget(
            name: "AttentionMap",
            dependencies: ["Tapestry", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/AttentionMap"),
        .executableTarget(
            name: "Autoencoder",
            dependencies: ["Tapestry", "ExampleData", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/Autoencoder"),
        .executableTarget(
            name: "CharRNN",
            dependencies: ["Tapestry", "ExampleData", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/CharRNN"),
        .executableTarget(
            name: "Chat",
            dependencies: ["Tapestry", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/Chat"),
        .executableTarget(
            name: "Generate",
            dependencies: ["Tapestry", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/Generate"),
        .executableTarget(
            name: "MaskedLM",
            dependencies: ["Tapestry", "ExampleData", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/MaskedLM"),
        .executableTarget(
            name: "ResNet",
            dependencies: ["Tapestry", "ExampleData", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/ResNet"),
        .executableTarget(
            name: "SentenceEmbedding",
            dependencies: ["Tapestry", "ExampleData", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/SentenceEmbedding"),
        .executableTarget(
            name: "Serve",
            dependencies: ["Tapestry", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/Serve"),
        .executableTarget(
            name: "Translate",
            dependencies: ["Tapestry", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/Translate"),
        .executableTarget(
            name: "VisionTransformer",
            dependencies: ["Tapestry", "ExampleData", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/VisionTransformer"),
        .executableTarget(
            name: "Word2Vec",
            dependencies: ["Tapestry", "ExampleData", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/Word2Vec"),
        .executableTarget(name: "VanishingGradients", dependencies: ["Tapestry"], path: "Examples/VanishingGradients"),
        .executableTarget(name: "XOR", dependencies: ["Tapestry"], path: "Examples/XOR"),
        .executableTarget(name: "BackpropTrace", dependencies: ["Tapestry"], path: "Examples/BackpropTrace"),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "Tapestry", "CKernels", "COpenBLAS", "CStream",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Benchmarks",
            exclude: ["RESULTS.md", "CStream", "compare.py", "gpu_peers.py", "checkpoint_peers.py", "gensim_bench.py"]),
        .target(name: "CStream", path: "Benchmarks/CStream"),
        .target(
            name: "ConformanceSuite",
            dependencies: ["Tapestry", .product(name: "ComplexModule", package: "swift-numerics")], path: "Conformance/Suite"),
        .executableTarget(
            name: "Conformance",
            dependencies: ["ConformanceSuite", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Conformance/Runner"),
        // A GPU against the CPU: the catalogue's operations, and timings.
        .target(
            name: "GPUCheckSuite",
            dependencies: ["Tapestry", "CCUDA", "CUDABackend", "ConformanceSuite", "OperationCatalog", "TestSupport"],
            path: "GPUCheck/Suite"),
        .executableTarget(
            name: "GPUCheck",
            dependencies: ["GPUCheckSuite", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "GPUCheck/Runner"),
        .target(name: "TestSupport", dependencies: ["Tapestry", "ConformanceSuite"], path: "Tests/TestSupport"),
        // Every operation, with arguments to try.
        .target(name: "OperationCatalog", dependencies: ["Tapestry", "TestSupport"], path: "Tests/OperationCatalog"),
        // A CUDA driver that runs the kernels' own sources on the CPU.
        .target(name: "CUDAEmulator", dependencies: ["CCUDA", "CKernels"], path: "Tests/CUDAEmulator"),
        .testTarget(
            name: "TapestryTests",
            dependencies: [
                "Tapestry", "TestSupport", "OperationCatalog", "ConformanceSuite", "GPUCheckSuite", "CKernels", "CCUDA",
                "CUDABackend", "CUDAEmulator",
            ],
            path: "Tests/TapestryTests"),
        .testTarget(name: "DataTests", dependencies: ["Tapestry", "TestSupport", "ConformanceSuite"], path: "Tests/DataTests"),
        .testTarget(
            name: "TrainingTests",
            dependencies: ["Tapestry", "TestSupport", "ConformanceSuite", "Digits", "VanishingGradients"],
            path: "Tests/TrainingTests"),
        .testTarget(
            name: "ExampleTests",
            dependencies: [
                "Tapestry", "ExampleData", "AttentionMap", "Autoencoder", "CharRNN", "Chat", "Generate", "MaskedLM", "ResNet",
                "SentenceEmbedding", "Serve", "Translate", "VisionTransformer", "Word2Vec",
            ],
            path: "Tests/ExampleTests"),
        .testTarget(
            name: "WordEmbeddingsTests", dependencies: ["Tapestry", "WordEmbeddings", "CKernels"],
            path: "Tests/WordEmbeddingsTests"),
        .testTarget(name: "ServingTests", dependencies: ["Tapestry", "TestSupport"], path: "Tests/ServingTests"),
        .testTarget(
            name: "TransformersTests", dependencies: ["Tapestry", "TestSupport", "ConformanceSuite"],
            path: "Tests/TransformersTests"),
    ]
)
