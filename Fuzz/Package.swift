// swift-tools-version: 6.1
import PackageDescription

// A package of its own: the library's builds need no fuzzer.
let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "Tapestry", path: "..")],
    targets: [.executableTarget(name: "Fuzz", dependencies: [.product(name: "Tapestry", package: "Tapestry")])]
)
