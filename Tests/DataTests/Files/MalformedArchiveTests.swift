import Foundation
import Tapestry
import Testing

/// GGUF, NumPy and PyTorch files made by hand: what is wrong is refused with a typed error before anything large is allocated.
@Suite struct MalformedArchiveTests {
    private struct Bytes {
        var data: [UInt8] = []
        init(_ text: String = "") { data = Array(text.utf8) }
        func add<T: FixedWidthInteger>(_ value: T) -> Bytes {
            var copy = self
            withUnsafeBytes(of: value.littleEndian) { copy.data += $0 }
            return copy
        }
        func text(_ text: String) -> Bytes {
            var copy = add(UInt64(text.utf8.count))
            copy.data += text.utf8
            return copy
        }
        func raw(_ bytes: [UInt8]) -> Bytes {
            var copy = self
            copy.data += bytes
            return copy
        }
    }

    private func refuses(_ name: String, _ bytes: [UInt8], _ read: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let before = MemoryStatistics.current.peakBytesInUse
        #expect(throws: (any Error).self, "\(name)") { try read(path) }
        #expect(MemoryStatistics.current.peakBytesInUse <= before + 1 << 20, "\(name) cost memory")
    }

    private static func gguf(version: UInt32 = 3, tensors: UInt64 = 0, keys: UInt64 = 0) -> Bytes {
        Bytes("GGUF").add(version).add(tensors).add(keys)
    }

    private static func tensor(
        _ name: String = "x", rank: UInt32 = 1, sizes: [UInt64] = [4], type: UInt32 = 0, offset: UInt64 = 0, after: Bytes? = nil,
        data: Int = 64
    ) -> [UInt8] {
        var bytes = (after ?? gguf(tensors: 1)).text(name).add(rank)
        for size in sizes { bytes = bytes.add(size) }
        bytes = bytes.add(type).add(offset)
        return bytes.raw([UInt8](repeating: 0, count: (32 - bytes.data.count % 32) % 32 + data)).data
    }

    @Test func ggufFiles() throws {
        var nested = Self.gguf(keys: 1).text("k").add(UInt32(9))
        for _ in 0..<64 { nested = nested.add(UInt32(9)).add(UInt64(1)) }
        let alignment = { (type: UInt32, value: UInt32) in
            Self.gguf(tensors: 1, keys: 1).text("general.alignment").add(type).add(value)
        }
        let cases: [(String, [UInt8])] = [
            ("magic", Bytes("GGML").add(UInt32(3)).add(UInt64(0)).add(UInt64(0)).data), ("version 0", Self.gguf(version: 0).data),
            ("version 1", Self.gguf(version: 1).data), ("version 99", Self.gguf(version: 99).data),
            ("big-endian", Self.gguf(version: UInt32(3).byteSwapped).data), ("-1 tensors", Self.gguf(tensors: .max).data),
            ("-1 keys", Self.gguf(keys: .max).data), ("too many keys", Self.gguf(keys: .max / 13 + 1).data),
            ("an empty key", Self.gguf(keys: 1).text("").add(UInt32(0)).add(UInt8(0)).raw([0, 0]).data),
            ("a key of 2⁶³ bytes", Self.gguf(keys: 1).add(UInt64(1) << 63).raw([0, 0, 0, 0, 0, 0]).data),
            (
                "a key twice",
                Self.gguf(keys: 2).text("k").add(UInt32(0)).add(UInt8(0)).text("k").add(UInt32(0)).add(UInt8(0)).data
            ),
            ("an unknown type", Self.gguf(keys: 1).text("k").add(UInt32(13)).raw([0, 0]).data), ("nested arrays", nested.data),
            (
                "an array beyond the file",
                Self.gguf(keys: 1).text("k").add(UInt32(9)).add(UInt32(10)).add(UInt64.max / 8 + 2).data
            ),
            ("a string beyond the file", Self.gguf(keys: 1).text("k").add(UInt32(8)).add(UInt64(100)).data),
            ("a bool of 2", Self.gguf(keys: 1).text("k").add(UInt32(7)).add(UInt8(2)).data),
            ("alignment 0", Self.tensor(after: alignment(4, 0))), ("alignment 13", Self.tensor(after: alignment(4, 13))),
            ("alignment 2³¹", Self.tensor(after: alignment(4, 1 << 31))),
            ("alignment of another type", Self.tensor(after: alignment(5, 32))),
            ("rank 2³² - 1", Self.tensor(rank: .max)), ("rank 9", Self.tensor(rank: 9, sizes: [UInt64](repeating: 1, count: 9))),
            ("a negative size", Self.tensor(sizes: [.max])), ("an overflow", Self.tensor(rank: 2, sizes: [1 << 42, 1 << 42])),
            ("an overflow beside an empty axis", Self.tensor(rank: 3, sizes: [0, 1 << 62, 1 << 62], data: 0)),
            ("an unknown tensor type", Self.tensor(type: 999)), ("half a block", Self.tensor(sizes: [33], type: 8)),
            ("unaligned", Self.tensor(offset: 4)), ("past the end", Self.tensor(offset: 1 << 40)),
            ("offset 2⁶⁴ - 32", Self.tensor(offset: .max - 31)),
            ("too large", Self.tensor(sizes: [1 << 40])),
            (
                "a tensor twice",
                Self.tensor(
                    after: Self.gguf(tensors: 2).text("x").add(UInt32(1)).add(UInt64(1)).add(UInt32(0)).add(UInt64(0)), data: 64)
            ),
            (
                "overlap",
                Self.tensor(
                    "y", after: Self.gguf(tensors: 2).text("x").add(UInt32(1)).add(UInt64(4)).add(UInt32(0)).add(UInt64(0)),
                    data: 64)
            ),
        ]
        for (name, bytes) in cases { try refuses(name, bytes) { _ = try GGUFFile($0).tensors() } }
    }

    private static func npy(_ header: String, version: UInt8 = 1, length: Int? = nil, data: Int = 24) -> [UInt8] {
        let text = header + "\n"
        let start = Bytes().raw([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, version, 0])
        let count = length ?? text.utf8.count
        let sized = version == 1 ? start.add(UInt16(count)) : start.add(UInt32(count))
        return sized.raw(Array(text.utf8)).raw([UInt8](repeating: 0, count: data)).data
    }

    private static func header(_ descr: String = "'<f4'", _ order: String = "False", _ shape: String = "(2, 3)") -> String {
        "{'descr': \(descr), 'fortran_order': \(order), 'shape': \(shape), }"
    }

    @Test func numpyFiles() throws {
        let cases: [(String, [UInt8])] = [
            ("4 GiB of header", Self.npy("{}", version: 2, length: 0xFFFF_FFFF)),
            ("version 4", Self.npy(Self.header(), version: 4)),
            ("32 GiB of nothing", Self.npy(Self.header("'<f8'", "False", "(65536, 65536)"), data: 0)),
            ("an overflow", Self.npy(Self.header("'<f4'", "False", "(4294967296, 4294967296, 4)"))),
            ("an overflow beside an empty axis", Self.npy(Self.header("'<f4'", "False", "(0, 4611686018427387904, 4)"))),
            ("objects", Self.npy(Self.header("'|O'"))), ("strings", Self.npy(Self.header("'<U3'"))),
            ("times", Self.npy(Self.header("'<M8[s]'"))),
            ("records", Self.npy(Self.header("[('a', '<i4')]"))), ("no end", Self.npy("{'descr': '<f4")),
            ("no dictionary", Self.npy("(((((((((((((((")), ("a list", Self.npy(Self.header("'<f4'", "False", "[2, 3]"))),
            ("a number", Self.npy(Self.header("'<f4'", "False", "(3)"))),
            ("a negative size", Self.npy(Self.header("'<f4'", "False", "(-2, 3)"))),
            ("no truth", Self.npy(Self.header("'<f4'", "1"))), ("more keys", Self.npy("{'x': '1', " + Self.header().dropFirst())),
            ("a key twice", Self.npy("{'descr': '<f4', " + Self.header().dropFirst())),
            ("something after", Self.npy(Self.header() + "1")),
            ("too few bytes", Self.npy(Self.header(), data: 23)),
            ("uint64 above int64", Self.npy(Self.header("'<u8'", "False", "(1,)"), data: 0) + [UInt8](repeating: 255, count: 8)),
        ]
        for (name, bytes) in cases { try refuses(name, bytes) { _ = try readNumpy($0) } }
    }

    /// A zip file with one entry; the fields that tests spoil are arguments.
    private static func zip(
        _ entries: [(name: String, content: [UInt8])], crc: UInt32? = nil, flags: UInt16 = 0, method: UInt16 = 0,
        size: UInt32? = nil
    ) -> [UInt8] {
        var file = Bytes(), directory = Bytes()
        for (name, content) in entries {
            let start = file.data.count
            let fields = { (bytes: Bytes) in
                bytes.add(UInt16(20)).add(flags).add(method).add(UInt32(0)).add(crc ?? Self.crc32(content)).add(
                    UInt32(content.count)
                ).add(
                    size ?? UInt32(content.count)
                ).add(UInt16(name.utf8.count)).add(UInt16(0))
            }
            file = fields(file.add(UInt32(0x0403_4B50))).raw(Array(name.utf8)).raw(content)
            directory = fields(directory.add(UInt32(0x0201_4B50)).add(UInt16(20))).add(UInt16(0)).add(UInt16(0)).add(UInt16(0))
                .add(UInt32(0)).add(
                    UInt32(start)
                ).raw(Array(name.utf8))
        }
        let start = file.data.count
        return file.raw(directory.data).add(UInt32(0x0605_4B50)).add(UInt32(0)).add(UInt16(entries.count)).add(
            UInt16(entries.count)
        ).add(
            UInt32(directory.data.count)
        ).add(UInt32(start)).add(UInt16(0)).data
    }

    private static func crc32(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(UInt32.max) { crc, byte in
            (0..<8).reduce(crc ^ UInt32(byte)) { crc, _ in crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
    }

    @Test func numpyArchives() throws {
        let array = Self.npy(Self.header())
        let whole = Self.zip([("a.npy", array)])
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(whole).write(to: URL(fileURLWithPath: path))
        #expect(try NumpyArchive(path).tensor("a").shape == [2, 3])
        let cases: [(String, [UInt8])] = [
            ("a wrong checksum", Self.zip([("a.npy", array)], crc: 1)), ("encrypted", Self.zip([("a.npy", array)], flags: 1)),
            ("twice", Self.zip([("a.npy", array), ("a.npy", array)])), ("outside", Self.zip([("../a.npy", array)])),
            ("absolute", Self.zip([("/a.npy", array)])), ("a wrong size", Self.zip([("a.npy", array)], size: 1 << 30)),
            ("an unknown method", Self.zip([("a.npy", array)], method: 12)),
            ("a bomb that lies", Self.zip([("a.npy", [0x03, 0x00])], method: 8, size: 0xFFFF_FFF0)),
            ("deflated rubbish", Self.zip([("a.npy", [0xFF, 0xFF, 0xFF])], method: 8, size: 100)), ("no zip", Array("PK".utf8)),
            ("a name in both spellings", Self.zip([("a.npy", array), ("a", array)])),
        ]
        for (name, bytes) in cases { try refuses(name, bytes) { _ = try NumpyArchive($0).tensors() } }
    }

    /// Pickles that want more than tensors.
    @Test func pickles() throws {
        func torch(_ pickle: [UInt8], data: Int = 16) -> [UInt8] {
            Self.zip([("m/data.pkl", pickle), ("m/data/0", [UInt8](repeating: 0, count: data))])
        }
        func text(_ string: String) -> [UInt8] { Bytes("X").add(UInt32(string.utf8.count)).raw(Array(string.utf8)).data }
        func tensor(offset: UInt8 = 0, strides: [UInt8] = [2, 1], key: String = "0", count: UInt8 = 4) -> [UInt8] {
            var bytes: [UInt8] = [0x80, 2, 0x7D]
            bytes += text("w")
            bytes += Array("ctorch._utils\n_rebuild_tensor_v2\n((".utf8)
            bytes += text("storage")
            bytes += Array("ctorch\nFloatStorage\n".utf8)
            bytes += text(key)
            bytes += text("cpu")
            bytes += [0x4B, count]
            bytes += Array("tQ".utf8)
            bytes += [0x4B, offset, 0x28, 0x4B, 2, 0x4B, 2, 0x74, 0x28]
            for stride in strides { bytes += [0x4B, stride] }
            bytes += Array("t)tRs.".utf8)
            return bytes
        }
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(torch(tensor())).write(to: URL(fileURLWithPath: path))
        #expect(try TensorArchives.open(path).tensor("w").shape == [2, 2])
        func pickle(_ start: String, _ middle: [UInt8], _ end: String) -> [UInt8] { Array(start.utf8) + middle + Array(end.utf8) }
        var evaluation: [UInt8] = [0x80, 4]
        evaluation += text("builtins")
        evaluation += text("eval")
        evaluation += [0x93]
        evaluation += pickle("(", text("1"), "tR.")
        var inItself: [UInt8] = [0x7D, 0x71, 0]
        inItself += text("a")
        inItself += [0x68, 0, 0x73, 0x2E]
        let deep: [UInt8] = [0x29] + [UInt8](repeating: 0x85, count: 100_000) + [0x2E]
        var bomb: [UInt8] = [0x80, 2, 0x5D]
        for _ in 0..<200 { bomb += [0x71, 0, 0x68, 0, 0x86, 0x71, 0] }
        let cases: [(String, [UInt8])] = [
            ("os.system", torch(pickle("cos\nsystem\n(", text("true"), "tR."))),
            (
                "builtins.eval",
                torch(evaluation)
            ),
            ("a call of torch.load", torch(Array("ctorch\nload\n)R.".utf8))), ("INST", torch(Array("(ios\nsystem\n.".utf8))),
            ("OBJ", torch(Array("(cos\nsystem\no.".utf8))), ("EXT1", torch([0x82, 1, 0x2E])),
            ("cut off", torch([0x80, 2, 0x7D])),
            ("nothing on the stack", torch([0x2E])), ("no memo", torch([0x68, 9, 0x2E])), ("a memo bomb", torch(bomb + [0x2E])),
            ("deep tuples", torch(deep)),
            ("a list in itself", torch([0x5D, 0x71, 0, 0x68, 0, 0x61, 0x2E])),
            ("a dictionary in itself", torch(inItself)),
            ("outside the storage", torch(tensor(offset: 1))), ("a wide stride", torch(tensor(strides: [200, 1]))),
            ("another storage", torch(tensor(key: "1"))), ("a storage beyond its entry", torch(tensor(count: 200))),
            ("shape without strides", torch(tensor(strides: [1]))),
            ("a storage's name that leads out", torch(tensor(key: "../0"))),
            ("no pickle", Self.zip([("m/data/0", [0])])), ("a bare pickle", tensor()),
        ]
        for (name, bytes) in cases { try refuses(name, bytes) { _ = try TorchFile($0).tensors() } }
    }
}
