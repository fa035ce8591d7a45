// swift-tools-version: 6.1
// A package that depends on Tapestry as any other would.
import PackageDescription

let package = Package(
    name: "ClientPackage",
    dependencies: [.package(name: "Tapestry", path: "../..")],
    targets: [.executableTarget(name: "Client", dependencies: [.product(name: "Tapestry", package: "Tapestry")])]
)
