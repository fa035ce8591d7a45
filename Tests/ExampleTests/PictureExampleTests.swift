import Foundation
import Tapestry
import Testing

@testable import Autoencoder
@testable import ResNet

/// Small versions of the examples that learn from pictures, by their command lines.
@Suite struct PictureExampleTests {
    private let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    @Test func resNet() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let small = try ResNetExample.parse([
            "--epochs", "2", "--limit", "500", "--width", "8", "--blocks", "1", "--curve", "\(folder)/curve.svg",
        ])
        let summary = try await small.trained()
        #expect(summary.steps == 20 && summary.metrics["accuracy"]! > 0.35)
        #expect(try readText("\(folder)/curve.svg").hasPrefix("<svg"))
        #expect(throws: (any Error).self) { try ResNetExample.parse(["--blocks", "0"]) }
    }

    @Test func autoencoder() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let small = try AutoencoderExample.parse([
            "--epochs", "4", "--limit", "500", "--width", "8", "--code", "12", "--noise", "0.1", "--grid", "\(folder)/grid.png",
            "--curve", "\(folder)/curve.png",
        ])
        let result = try await small.trained()
        // The mean picture's error is 0.086; twelve principal components leave 0.03.
        #expect(result.error < 0.06 && result.probe > 0.4)
        #expect(result.linearError > 0.02 && result.linearError < 0.04)
        #expect(try readImage("\(folder)/grid.png").shape == [1, 2 * 30 * 3, 12 * 30 * 3])
        #expect(try readImage("\(folder)/curve.png").shape[0] == 3)
        #expect(throws: (any Error).self) { try AutoencoderExample.parse(["--noise", "-1"]) }
    }
}
