import Foundation
import Tapestry
import Testing

/// Tensors in files of every format, and folders of them.
@Suite struct ArchiveTests {
    private let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    private func path(_ name: String) -> String { "\(folder)/\(name)" }
    private func remove() { try? FileManager.default.removeItem(atPath: folder) }
    private func write(_ text: String, _ name: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: path(name))) }

    private static let tensors: [(name: String, tensor: Tensor)] = [
        ("a", Tensor(arange: 64).reshaped(2, 32).to(.float32) / 7 - 3), ("b", Tensor([1, 2, 3])), ("scalar", Tensor(2.5)),
        ("empty", Tensor(zeros: [0, 3])), ("view", Tensor(arange: 12).reshaped(3, 4).T),
    ]

    @Test func everyFormat() throws {
        defer { remove() }
        try saveSafetensors(
            Dictionary(uniqueKeysWithValues: Self.tensors.map { ($0.name, $0.tensor) }), to: path("x.safetensors"))
        try saveGGUF(Self.tensors, to: path("x.gguf"))
        try saveNumpyArchive(Self.tensors, to: path("x.npz"))
        for name in ["x.safetensors", "x.gguf", "x.npz"] {
            let archive = try TensorArchives.open(path(name))
            #expect(Set(archive.names) == Set(Self.tensors.map(\.name)))
            for (key, tensor) in Self.tensors {
                #expect(try archive.tensor(key).isEqual(to: tensor), "\(name): \(key)")
                #expect(try archive.shape(of: key) == tensor.shape)
            }
            #expect(throws: (any Error).self) { try archive.tensor("c") }
        }
        // Several formats in a folder: safetensors come first.
        #expect(try TensorArchives.open(folder) is SafetensorsFile)
    }

    @Test func numpyTypes() throws {
        defer { remove() }
        for dtype in DType.allCases where dtype != .bfloat16 && !dtype.isStorageOnly {
            let tensor = Tensor(arange: 6).reshaped(2, 3).to(dtype)
            try saveNumpy(tensor, to: path("x.npy"))
            let read = try readNumpy(path("x.npy"))
            #expect(read.dtype == dtype && read.isEqual(to: tensor), "\(dtype)")
        }
        #expect(throws: NumpyError.self) { try saveNumpy(Tensor(zeros: [1], dtype: .bfloat16), to: path("x.npy")) }
    }

    @Test func ggufTypes() throws {
        defer { remove() }
        let metadata: [(key: String, value: GGUFValue)] = [
            ("general.architecture", .string("tëst")), ("n", .uint32(7)), ("x", .float32(-0.5)), ("flag", .bool(true)),
            ("list", .array(.string, [.string(""), .string("b")])), ("nested", .array(.array, [.array(.int8, [.int8(-1)])])),
            ("big", .uint64(.max)),
        ]
        let x = Tensor(arange: 128).reshaped(4, 32).to(.float32) * 0.01 - 0.5
        for (type, tolerance) in [(GGMLType.f16, 1e-3), (.bf16, 1e-2), (.q8_0, 5e-3), (.q4_0, 0.1)] {
            try saveGGUF([("x", x)], metadata: metadata, to: path("x.gguf")) { _, _ in type }
            let file = try GGUFFile(path("x.gguf"))
            #expect(file.metadataKeys == metadata.map(\.key))
            for (key, value) in metadata { #expect(try file.metadata(key) == value) }
            #expect(try file.storedType(of: "x") == type)
            let read: Tensor = try file.tensor("x").to(.float32)
            let error = abs(read - x).max().item(Double.self)
            #expect(error < tolerance, "\(type): \(error)")
        }
        #expect(throws: GGUFError.self) { try saveGGUF([("x", Tensor(zeros: [2, 33]))], to: path("x.gguf")) { _, _ in .q8_0 } }
        #expect(throws: GGUFError.self) { try saveGGUF([("x", x), ("x", x)], to: path("x.gguf")) }
    }

    @Test func shards() throws {
        defer { remove() }
        try saveSafetensors(["a": Tensor([1.0])], to: path("model-1.safetensors"))
        try saveSafetensors(["b": Tensor([2.0])], to: path("model-2.safetensors"))
        func index(_ map: String) throws {
            try write("{\"metadata\":{\"total_size\":8},\"weight_map\":{\(map)}}", "model.safetensors.index.json")
        }
        try index("\"a\":\"model-1.safetensors\",\"b\":\"model-2.safetensors\"")
        let archive = try TensorArchives.open(folder)
        #expect(archive.names == ["a", "b"])
        #expect(try archive.tensors().mapValues { $0.scalars(Float.self) } == ["a": [1], "b": [2]])
        for (what, map) in [
            ("missing", "\"a\":\"model-3.safetensors\""), ("outside", "\"a\":\"../model-1.safetensors\""),
            ("absolute", "\"a\":\"\(folder)/model-1.safetensors\""),
            ("a tensor of another shard", "\"a\":\"model-2.safetensors\""),
            ("repeated", "\"a\":\"model-1.safetensors\",\"a\":\"model-2.safetensors\""),
            ("itself", "\"a\":\"model.safetensors.index.json\""),
            ("no string", "\"a\":1"), ("NUL", "\"a\":\"model-1.safetensors\\u0000\""), ("nothing", ""), ("dots", "\"a\":\"..\""),
        ] {
            try index(map)
            #expect(throws: (any Error).self, "\(what)") { try TensorArchives.open(folder) }
        }
        try write("{}", "model.safetensors.index.json")
        #expect(throws: ArchiveError.self) { try TensorArchives.open(folder) }
    }

    @Test func filesThatAreNone() throws {
        defer { remove() }
        #expect(throws: ArchiveError.self) { try TensorArchives.open(folder) }
        #expect(throws: FileError.self) { try TensorArchives.open("/dev/zero") }
        #expect(throws: FileError.self) { try TensorArchives.open(path("missing")) }
        try FileManager.default.createSymbolicLink(atPath: path("loop"), withDestinationPath: path("loop"))
        #expect(throws: FileError.self) { try TensorArchives.open(path("loop")) }
        #expect(mkfifo(path("fifo"), 0o600) == 0)
        #expect(throws: FileError.self) { try TensorArchives.open(path("fifo")) }
        #expect(throws: FileError.self) { try TensorArchives.open(String(repeating: "x", count: 1 << 20)) }
        for count in 0..<8 {
            try Data(repeating: 0x80, count: count).write(to: URL(fileURLWithPath: path("short")))
            #expect(throws: (any Error).self) { try TensorArchives.open(path("short")) }
        }
    }

    /// Cut anywhere, a file is refused or gives what is whole; nothing traps.
    @Test func cutFiles() throws {
        defer { remove() }
        try saveGGUF(Self.tensors, metadata: [("k", .array(.string, [.string("v")]))], to: path("x.gguf"))
        try saveNumpyArchive(Array(Self.tensors.prefix(2)), to: path("x.npz"))
        try saveNumpy(Tensor(arange: 10), to: path("x.npy"))
        for name in ["x.gguf", "x.npz", "x.npy"] {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path(name)))
            let cut = path("cut-\(name)")
            var refused = 0
            for length in 0..<bytes.count {
                try bytes.prefix(length).write(to: URL(fileURLWithPath: cut))
                do {
                    if name.hasSuffix("npy") { _ = try readNumpy(cut) } else { _ = try TensorArchives.open(cut).tensors() }
                } catch { refused += 1 }
            }
            // A gguf file may lack the padding at its end.
            #expect(refused >= bytes.count - 32, "\(name)")
            for position in 0..<min(bytes.count, 400) {
                for value: UInt8 in [0, 1, 0x22, 0x7F, 0xFF] {
                    var damaged = bytes
                    damaged[position] = value
                    try damaged.write(to: URL(fileURLWithPath: cut))
                    if name.hasSuffix("npy") { _ = try? readNumpy(cut) } else { _ = try? TensorArchives.open(cut).tensors() }
                }
            }
        }
    }
}
