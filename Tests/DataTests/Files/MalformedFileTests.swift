import Foundation
import Tapestry
import Testing

/// Headers made by hand: what is wrong is refused with a typed error before anything is allocated for it; what is merely odd is read.
@Suite struct MalformedFileTests {
    private static func file(_ header: [UInt8], length: UInt64? = nil, data: Int = 0) -> [UInt8] {
        withUnsafeBytes(of: (length ?? UInt64(header.count)).littleEndian) { Array($0) } + header
            + [UInt8](repeating: 0, count: data)
    }

    private static func header(_ json: String, data: Int = 0) -> [UInt8] { file(Array(json.utf8), data: data) }

    private static func tensor(
        _ name: String = "x", dtype: String = "F32", shape: String = "[2]", from: String = "0", to: String = "8"
    ) -> String { "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":[\(from),\(to)]}" }

    static let refused: [(name: String, bytes: [UInt8])] = [
        ("empty", []), ("seven bytes", [0, 0, 0, 0, 0, 0, 0]), ("length 0", file([])),
        ("length beyond the file", file(Array("{}".utf8), length: 3)),
        ("length above 100 MB", file(Array("{}".utf8), length: 100_000_001)),
        ("length 2⁶⁴ - 1", file(Array("{}".utf8), length: .max)),
        ("length 2⁶³", file(Array("{}".utf8), length: 1 << 63)),
        ("an array", header("[]")), ("leading blanks", header(" {}")), ("no JSON", header("{x}")), ("cut off", header("{\"x\":")),
        ("something after", header("{}{}")), ("a trailing comma", header("{\(tensor()),}", data: 8)),
        ("invalid UTF-8", file([0x7B, 0x22, 0xC3, 0x28, 0x22, 0x3A, 0x31, 0x7D])),
        ("deep nesting", header("{\"x\":" + String(repeating: "[", count: 100_000))),
        ("deep nesting in an extra field", header("{\"x\":{\"e\":" + String(repeating: "{\"a\":", count: 100_000))),
        ("a name twice", header("{\(tensor()),\(tensor())}", data: 8)),
        ("a field twice", header("{\"x\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", data: 8)),
        ("metadata of numbers", header("{\"__metadata__\":{\"a\":1}}")), ("metadata a list", header("{\"__metadata__\":[]}")),
        ("an unknown type", header("{\(tensor(dtype: "F33"))}", data: 8)),
        ("a negative size", header("{\(tensor(shape: "[-2]"))}", data: 8)),
        ("a fraction", header("{\(tensor(shape: "[2.0]"))}", data: 8)),
        ("1e400", header("{\(tensor(shape: "[1e400]"))}", data: 8)),
        ("above 2⁶³", header("{\(tensor(shape: "[9223372036854775808]"))}", data: 8)),
        ("an overflowing shape", header("{\(tensor(shape: "[4294967296,4294967296,4]"))}", data: 8)),
        ("an overflow that wraps to fit", header("{\(tensor(shape: "[4611686018427387905,4]", to: "16"))}", data: 16)),
        ("too few bytes for the shape", header("{\(tensor(shape: "[3]"))}", data: 8)),
        ("begin after end", header("{\(tensor(from: "8", to: "0"))}", data: 8)),
        ("outside the file", header("{\(tensor(to: "800"))}", data: 8)),
        ("overlap", header("{\(tensor()),\(tensor("y", from: "4", to: "12"))}", data: 12)),
        ("a hole", header("{\(tensor()),\(tensor("y", from: "12", to: "20"))}", data: 20)),
        ("bytes left over", header("{\(tensor())}", data: 9)),
        ("half a byte", header("{\(tensor(dtype: "F4", shape: "[3]", to: "1"))}", data: 1)),
        ("three offsets", header("{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4,8]}}", data: 8)),
        ("no shape", header("{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", data: 8)),
        ("half a surrogate pair", header("{\"\\ud800\":1}")), ("a control character", header("{\"a\u{1}\":1}")),
    ]

    @Test(arguments: refused.indices) func isRefused(_ index: Int) {
        let (name, bytes) = Self.refused[index]
        #expect(throws: SafetensorsError.self, "\(name)") {
            _ = try bytes.withUnsafeBytes { try SafetensorsHeader($0) }
        }
    }

    @Test func oddButValid() throws {
        let valid = [
            Self.header("{}"), Self.header("{}   "), Self.header("{\(Self.tensor())}", data: 8),
            Self.header("{\(Self.tensor(shape: "[]", to: "4"))}", data: 4),
            Self.header("{\(Self.tensor(shape: "[0,7]", to: "0"))}"),
            Self.header("{\(Self.tensor("\\u00e4\\n")),\"__metadata__\":{}}", data: 8),
            Self.header("{ \"x\" : { \"data_offsets\" : [ 0 , 8 ] , \"shape\" : [ 2 ] , \"dtype\" : \"F32\" } }", data: 8),
            // An empty tensor may start where another does.
            Self.header("{\(Self.tensor("e", shape: "[0]", to: "0")),\(Self.tensor())}", data: 8),
        ]
        for bytes in valid { _ = try bytes.withUnsafeBytes { try SafetensorsHeader($0) } }
        let names = try valid[5].withUnsafeBytes { try SafetensorsHeader($0) }.entries.map(\.name)
        #expect(names == ["ä\n"])
    }

    @Test func aHundredThousandTensors() throws {
        let list = (0..<100_000).map { Self.tensor("t\($0)", shape: "[]", from: "\($0 * 4)", to: "\($0 * 4 + 4)") }
        let bytes = Self.header("{\(list.joined(separator: ","))}", data: 400_000)
        #expect(try bytes.withUnsafeBytes { try SafetensorsHeader($0) }.entries.count == 100_000)
    }

    /// The file is replaced under a tensor that is still mapped from it.
    @Test func savingOverTheSource() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString).safetensors").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try saveSafetensors(["x": Tensor(arange: 1000)], to: path)
        let x = try SafetensorsFile(path).tensor("x")
        try saveSafetensors(["x": x + 1, "old": x], to: path)
        #expect(x.isEqual(to: Tensor(arange: 1000)))
        #expect(try SafetensorsFile(path).tensor("x").isEqual(to: Tensor(arange: 1000) + 1))
        #expect(try SafetensorsFile(path).tensor("old").isEqual(to: x))
    }
}
