import Foundation
import Tapestry
import Testing

/// Files are whole or not there, and what comes from outside is checked.
@Suite struct FileTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
    private func files() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.path) }

    @Test func everyTypeComesBack() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var tensors: [String: Tensor] = [
            "empty": Tensor(zeros: [0, 3]), "scalar": Tensor(1.5), "view": Tensor(arange: 12).reshaped(3, 4).T,
        ]
        for dtype in DType.allCases where dtype != .complex128 {
            tensors["of \(dtype)"] = (Tensor(arange: 7).reshaped(7, 1) - 2).to(dtype)
        }
        try saveSafetensors(tensors, to: path("all.safetensors"), metadata: ["note": "ümlaut \u{1F600} \\ \"quoted\""])
        let file = try SafetensorsFile(path("all.safetensors"))
        #expect(file.metadata["note"] == "ümlaut \u{1F600} \\ \"quoted\"")
        #expect(Set(file.names) == Set(tensors.keys))
        for (name, tensor) in tensors {
            let read = try file.tensor(name)
            let same = tensor.dtype.isStorageOnly ? read.to(.float32).isEqual(to: tensor.to(.float32)) : read.isEqual(to: tensor)
            #expect(read.dtype == tensor.dtype && same, "\(name)")
        }
        #expect(throws: SafetensorsError.self) {
            try saveSafetensors(["z": Tensor(zeros: [1], dtype: .complex128)], to: path("complex.safetensors"))
        }
        #expect(try files() == ["all.safetensors"])
        // Written twice, the bytes are the same.
        try saveSafetensors(tensors, to: path("again.safetensors"), metadata: file.metadata)
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: path("again.safetensors")))
                == Data(contentsOf: URL(fileURLWithPath: path("all.safetensors"))))
    }

    /// Tensors read from a mapped file can be written to without touching the file, and live longer than the reader.
    @Test func mappedTensorsAreValues() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try saveSafetensors(["x": Tensor([1.0, 2])], to: path("x.safetensors"))
        var x = try SafetensorsFile(path("x.safetensors")).tensor("x")
        x += 1
        #expect(x.scalars(Float.self) == [2, 3])
        #expect(try SafetensorsFile(path("x.safetensors")).tensor("x").scalars(Float.self) == [1, 2])
    }

    @Test func models() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let a = Sequential(Linear(3, 4), Linear(4, 1)), b = Sequential(Linear(3, 4), Linear(4, 1))
        try a.save(path("model.safetensors"))
        try b.load(path("model.safetensors"))
        #expect(b(Tensor(ones: [1, 3])).isEqual(to: a(Tensor(ones: [1, 3]))))
        #expect(throws: StateDictError.self) { try Sequential(Linear(3, 4)).load(path("model.safetensors")) }
    }

    /// Cut short anywhere, a file is refused; never read past its end.
    @Test func truncatedFiles() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try saveSafetensors(["a": Tensor(arange: 10), "b": Tensor([1.0])], to: path("whole"))
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path("whole")))
        for length in 0..<bytes.count {
            try bytes.prefix(length).write(to: URL(fileURLWithPath: path("cut")))
            #expect(throws: (any Error).self) { _ = try SafetensorsFile(path("cut")) }
        }
        // A changed byte in the header either reads as something consistent or is refused; it never crashes.
        for position in 8..<min(bytes.count, 140) {
            for value: UInt8 in [0, 0x22, 0x7B, 0x39, 0xFF] {
                var damaged = bytes
                damaged[position] = value
                try damaged.write(to: URL(fileURLWithPath: path("damaged")))
                _ = try? SafetensorsFile(path("damaged")).tensors()
            }
        }
    }

    @Test func missingAndUnwritable() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let missing = #expect(throws: FileError.self) { _ = try SafetensorsFile(path("missing")) }
        #expect(missing?.description.contains("missing") == true)
        #expect(throws: FileError.self) { try saveSafetensors(["x": Tensor(1)], to: path("no/such/folder/x")) }
        #expect(throws: FileError.self) { _ = try readText(path("nothing.txt")) }
        #expect(throws: (any Error).self) { _ = try SafetensorsFile(folder.path) }
        try Data([0xFF, 0xFE, 0x41]).write(to: URL(fileURLWithPath: path("latin.txt")))
        #expect(throws: (any Error).self) { _ = try readText(path("latin.txt")) }
    }

    /// A write that fails on the way leaves the old file and nothing beside it.
    @Test func anEarlierFileSurvives() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data("precious".utf8).write(to: URL(fileURLWithPath: path("file")))
        struct Interrupted: Error {}
        func write() throws {
            var file = try AtomicFile(path("file"))
            try Data(repeating: 0, count: 100).withUnsafeBytes { try file.write($0) }
            throw Interrupted()
        }
        #expect(throws: Interrupted.self) { try write() }
        #expect(try String(contentsOfFile: path("file"), encoding: .utf8) == "precious")
        #expect(try files() == ["file"])
    }

    @Test func checkpointsThatAreNone() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try saveSafetensors(["x": Tensor(1)], to: path("weights"))
        #expect(throws: CheckpointError.self) { _ = try Checkpoint(path("weights")) }
        let model = Sequential(Linear(2, 2)), other = Sequential(Linear(3, 2))
        try Checkpoint(model: model).write(path("checkpoint"))
        #expect(throws: StateDictError.self) { try Checkpoint(path("checkpoint")).restore(model: other) }
        #expect(throws: CheckpointError.self) {
            try Checkpoint(path("checkpoint")).restore(model: model, optimizer: Adam(model.parameters))
        }
    }

    @Test func characters() throws {
        let tokenizer = CharacterTokenizer("hello wörld")
        #expect(try tokenizer.decode(tokenizer.encode("world hö".filter { "hello wörld".contains($0) })) == "world hö")
        let error = #expect(throws: TokenizerError.self) { _ = try tokenizer.encode("hex") }
        #expect(error?.description.contains("x") == true)
        #expect(throws: TokenizerError.self) { _ = try tokenizer.decode([99]) }
        #expect(try CharacterTokenizer(restoring: tokenizer.vocabularyText) == tokenizer)
    }

    @Test func windows() throws {
        let tokens = Array(0..<103)
        var windows = try TokenWindows(tokens, length: 5, batchSize: 3, seed: 1)
        var starts: [Int] = []
        for _ in 0..<windows.batchesPerEpoch {
            let (inputs, targets) = windows.next()
            #expect(inputs.shape == [3, 5] && targets.shape == [3, 5])
            #expect((inputs + 1).isEqual(to: targets))
            starts += inputs[0..., 0].scalars(Int.self)
        }
        #expect(Set(starts).count == starts.count)
        #expect(Set(starts.map { $0 % 5 }).count == 1)
        #expect(throws: (any Error).self) { _ = try TokenWindows(tokens, length: 50, batchSize: 3, seed: 1) }
    }
}
