import Foundation
import Tapestry
import Testing

@testable import Data

/// IDX, CSV, text and token files: what is in them, and typed errors for what is not.
@Suite final class ReaderTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(at: folder) }

    private func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
    private func write(_ bytes: [UInt8], _ name: String) throws -> String {
        try Data(bytes).write(to: folder.appendingPathComponent(name))
        return path(name)
    }
    private func write(_ text: String, _ name: String) throws -> String { try write(Array(text.utf8), name) }

    // MARK: IDX

    @Test func idxTypes() throws {
        for dtype in [DType.uint8, .int8, .int32, .float32, .float64] {
            let tensor = ((Tensor(arange: 24).reshaped(2, 3, 4) * 5) - (dtype == .uint8 ? 0 : 60)).to(dtype)
            try writeIDX(tensor, to: path("x"))
            #expect(try readIDX(path("x")).isEqual(to: tensor))
        }
        let short = try write([0, 0, 0x0B, 1, 0, 0, 0, 2, 0xFF, 0xFE, 0x01, 0x00], "int16")
        #expect(try readIDX(short).scalars(Int.self) == [-2, 256])
        #expect(try readIDX(try write([0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 5], "empty")).shape == [0, 5])
    }

    /// [[1, 2, 3], [4, 5, 6]] as gzip of Python wrote it.
    private let gzipped = Data(base64Encoded: "H4sIAAAAAAACA2Ng4GBiYGAAYWZGJmYWVjYASJQ+5RIAAAA=")!

    @Test func idxCompressed() throws {
        let file = try write(Array(gzipped), "x.gz")
        #expect(try readIDX(file).matrix(Int.self) == [[1, 2, 3], [4, 5, 6]])
        for length in 2..<gzipped.count {
            #expect(throws: IDXError.self) { try readIDX(try self.write(Array(self.gzipped.prefix(length)), "cut.gz")) }
        }
        // A wrong checksum, and rubbish after the end.
        var damaged = Array(gzipped)
        damaged[gzipped.count - 6] ^= 1
        #expect(throws: IDXError.self) { try readIDX(try self.write(damaged, "damaged.gz")) }
        #expect(throws: IDXError.self) { try readIDX(try self.write(Array(self.gzipped) + [1, 2, 3], "more.gz")) }
    }

    @Test func idxMalformed() throws {
        let whole: [UInt8] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]
        #expect(try readIDX(try write(whole, "whole")).shape == [2, 3])
        for length in 1..<whole.count {
            #expect(throws: IDXError.self) { try readIDX(try self.write(Array(whole.prefix(length)), "cut")) }
        }
        let bad: [[UInt8]] = [
            whole + [7], [1] + whole.dropFirst(), [0, 0, 7] + whole.dropFirst(3), [0, 0, 8, 255] + whole.dropFirst(4),
            // 2³² - 1 by 2³² - 1 by 2³² - 1 doubles.
            [0, 0, 0x0E, 3] + [UInt8](repeating: 255, count: 12), [0, 0, 8, 1, 0x7F, 0xFF, 0xFF, 0xFF],
        ]
        for bytes in bad { #expect(throws: IDXError.self, "\(bytes)") { try readIDX(try self.write(bytes, "bad")) } }
        #expect(throws: FileError.self) { try readIDX(self.path("none")) }
        #expect(throws: FileError.self) { try readIDX(self.folder.path) }
        #expect(throws: FileError.self) { try readIDX(try self.write([], "nothing")) }
    }

    @Test func labelledImages() throws {
        try writeIDX(Tensor(arange: 2 * 2 * 2).reshaped(2, 2, 2).to(.uint8) * 36, to: path("t10k-images-idx3-ubyte"))
        try writeIDX(Tensor([3, 9]).to(.uint8), to: path("t10k-labels-idx1-ubyte"))
        let data = try LabelledImages(folder: folder.path, training: false)
        #expect(data.count == 2 && data.images.shape == [2, 1, 2, 2])
        let (image, label) = data.sample(at: 1)
        #expect(label.item(Int.self) == 9)
        #expect(abs(image[0, 1, 1].item(Float.self) - 252 / 255) < 1e-6)
        #expect(throws: FileError.self) { try LabelledImages(folder: self.folder.path, training: true) }
        let error = #expect(throws: IDXError.self) { try LabelledImages(folder: self.folder.path, training: false, classes: 9) }
        #expect(error?.reason == "label 9 of image 1 is not below 9")
        try writeIDX(Tensor([3, 9, 1]).to(.uint8), to: path("t10k-labels-idx1-ubyte"))
        #expect(throws: IDXError.self) { try LabelledImages(folder: self.folder.path, training: false) }
    }

    // MARK: CSV

    @Test func csvColumns() throws {
        let text =
            "\u{FEFF}id,height,\"na,me\",note\r\n1,1.5,\"Ann \"\"A\"\"\",x\r\n2,,\"two\nlines\",NA\r\n\r\n-3,1e3,ü,\"NA\"\r\n"
        let table = try CSVTable(try write(text, "a.csv"))
        #expect(table.names == ["id", "height", "na,me", "note"])
        #expect(table.rowCount == 3)
        #expect(table["id"] == .integer([1, 2, -3]))
        #expect(table["height"] == .number([1.5, nil, 1000]))
        #expect(table["na,me"] == .text(["Ann \"A\"", "two\nlines", "ü"]))
        #expect(table["note"] == .text(["x", nil, "NA"]))
        #expect(table["none"] == nil)
        let tensor = try table.tensor()
        #expect(tensor.shape == [3, 2] && tensor[1, 1].item(Float.self).isNaN)
        #expect(try table.tensor(["id"], dtype: .int64).scalars(Int.self) == [1, 2, -3])
        #expect(throws: CSVError.self) { try table.tensor(["height"], dtype: .int64) }
        #expect(throws: CSVError.self) { try table.tensor(["note"]) }
        #expect(throws: CSVError.self) { try table.tensor(["width"]) }
        // From whole numbers to numbers to text, with what was read before.
        #expect(try CSVTable(text: "a\n1\n\n2.5\nNA\nz")["a"] == .text(["1", "2.5", nil, "z"]))
        var options = CSVOptions()
        options.hasHeader = false
        options.delimiter = UInt8(ascii: ";")
        options.types = ["1": .text]
        let plain = try CSVTable(text: "1;2\r3;4", options: options)
        #expect(plain["0"] == .integer([1, 3]) && plain["1"] == .text(["2", "4"]))
        #expect(try CSVTable(text: "only,a,header\n").rowCount == 0)
    }

    @Test func csvMalformed() throws {
        func problem(_ text: String, _ options: CSVOptions = CSVOptions()) -> String? {
            do {
                _ = try CSVTable(text: text, path: "t", options: options)
                return nil
            } catch { return "\(error)" }
        }
        #expect(problem("a,b\n1,2\n3\n") == "t, line 3: 1 fields in a table of 2 columns")
        #expect(problem("a,b\n\"1\n\n\",2\n3,4,5\n") == "t, line 5: 3 fields in a table of 2 columns")
        #expect(problem("a,b\n1,\"2\n3,4\n") == "t, line 2: the quote of field 2 is not closed")
        #expect(problem("a\n\"1\"x\n") == "t, line 2: text after the closing quote of field 1")
        #expect(problem("a\n1\"\n") == "t, line 2: a quote in the middle of field 1")
        #expect(problem("a,a\n1,2") == "t, line 1: the column a is there twice")
        #expect(problem("") == "t: the file has no rows")
        var options = CSVOptions()
        options.types = ["a": .integer]
        #expect(problem("a\n1\n1.5\n", options) == "t, line 3: column a: \"1.5\" is no whole number")
        options.types = ["z": .number]
        #expect(problem("a\n1\n", options) == "t: there is no column z to have a type")
        options = CSVOptions()
        options.maxRowBytes = 1000
        let long = String(repeating: "x", count: 2000)
        #expect(problem("a\n1\n\(long)\n", options) == "t, line 3: the row is longer than 1000 bytes")
        #expect(problem("a\n1\n\"\(long)\"\n", options) == "t, line 3: the row is longer than 1000 bytes")
        options.maxColumns = 10
        #expect(problem(String(repeating: ",", count: 20), options) == "t, line 1: more than 10 fields in a row")
        let latin = try write([0x61, 0x0A, 0xFC, 0x0A], "latin.csv")
        #expect(throws: CSVError.self) { try CSVTable(latin) }
        let table = try CSVTable(text: "x,y\n1,0\n2,3\n3,\n4,1.5\n")
        #expect(try table.labels("x", classes: 5).scalars(Int.self) == [1, 2, 3, 4])
        #expect(throws: CSVError.self) { try table.labels("x", classes: 4) }
        #expect(throws: CSVError.self) { try table.labels("y", classes: 4) }
        // Names that look the same and are not.
        let two = try CSVTable(text: "\u{E9},e\u{301}\n1,2\n")
        #expect(two["\u{E9}"] == .integer([1]) && two["e\u{301}"] == .integer([2]))
        // Any bytes: a table or a typed error.
        let alphabet = Array("a1,\"\n\r; .".utf8) + [0xFF]
        let generator = RandomGenerator(seed: 2)
        for _ in 0..<3000 {
            let bytes = (0..<generator.integer(below: 30)).map { _ in alphabet[generator.integer(below: alphabet.count)] }
            do { _ = try bytes.withUnsafeBytes { try CSVTable(bytes: $0, path: "t", options: CSVOptions()) } } catch is CSVError {
            }
        }
    }

    // MARK: Text

    @Test func textLines() async throws {
        let file = try write("\u{FEFF}first\r\nsecond ü\n\nlast", "t.txt")
        let lines = try TextLines(file)
        #expect(lines.count == 4)
        #expect(try (0..<4).map(lines.sample) == ["first", "second ü", "", "last"])
        var streamed: [String] = []
        for try await line in TextLineStream([file, file]).stream(epoch: 0) { streamed.append(line) }
        #expect(streamed == ["first", "second ü", "", "last", "first", "second ü", "", "last"])
        #expect(throws: TextFileError(path: file, line: 2, reason: "longer than 8 bytes")) {
            try TextLines(file, maxLineBytes: 8)
        }
        // A file of a terabyte without a line end, which takes no place on the disk.
        #expect(truncate(file, 1 << 40) == 0)
        #expect(throws: TextFileError.self) { try TextLines(file) }
        #expect(throws: CSVError.self) { try CSVTable(file) }
        #expect(throws: IDXError.self) { try readIDX(file) }
        let latin = try write([0x61, 0x0A, 0xFC, 0x0A], "latin.txt")
        #expect(throws: TextFileError(path: latin, line: 2, reason: "no UTF-8")) { try TextLines(latin).sample(at: 1) }
        await #expect(throws: TextFileError.self) { for try await _ in TextLineStream([latin]).stream(epoch: 0) {} }
        await #expect(throws: FileError.self) { for try await _ in TextLineStream(["/none"]).stream(epoch: 0) {} }
    }

    // MARK: Tokens

    @Test func tokenShards() async throws {
        for type in [TokenType.uint16, .uint32] {
            for (shard, count) in [(0, 101), (1, 20), (2, 57)] {
                var writer = try TokenShardWriter(path("\(shard).bin"), type: type)
                try writer.write((0..<count / 2).map { $0 + 1000 * shard })
                try writer.write((count / 2..<count).map { $0 + 1000 * shard })
                try writer.finish()
            }
            let paths = (0..<3).map { path("\($0).bin") }
            let shards = try TokenShards(paths, type: type, length: 10)
            #expect(shards.tokenCount == 178 && shards.count == 10 + 1 + 5)
            let (x, y) = try shards.sample(at: 11)
            #expect(x.scalars(Int.self) == Array(2000..<2010) && y.scalars(Int.self) == Array(2001..<2011))
            var seen: [Int] = []
            for try await (x, _) in DataLoader(shards, batchSize: 4, shuffle: true, seed: 1, workers: 2) {
                seen += x.flattened().scalars(Int.self)
            }
            let whole = Array(0..<100) + Array(1000..<1010) + Array(2000..<2050)
            #expect(seen != whole && seen.sorted() == whole)
            #expect(try TokenShards(paths, type: type, length: 10, stride: 5).count == 19 + 2 + 10)
            let error = #expect(throws: TokenShardError.self) {
                try TokenShards(paths, type: type, length: 10, vocabularySize: 2005).sample(at: 11)
            }
            #expect(error?.reason == "token 2005 at position 5 is not below the vocabulary's 2005")
        }
    }

    @Test func tokenShardsMalformed() throws {
        let odd = try write([1, 2, 3], "odd.bin")
        #expect(throws: TokenShardError.self) { try TokenShards([odd], length: 1) }
        let few = try write([1, 2, 3, 4], "few.bin")
        #expect(throws: TokenShardError.self) { try TokenShards([few], length: 2) }
        #expect(try TokenShards([few], length: 1).count == 1)
        #expect(throws: TokenShardError.self) { try TokenShards([], length: 2) }
        #expect(throws: FileError.self) { try TokenShards([self.path("none")], length: 2) }
        // llm.c's header, right and wrong.
        func llmc(_ version: Int32, _ count: Int32) -> [UInt8] {
            var header = [Int32](repeating: 0, count: 256)
            (header[0], header[1], header[2]) = (20_240_520, version, count)
            return header.withUnsafeBytes { Array($0) } + [7, 0, 8, 0, 9, 0]
        }
        let shards = try TokenShards([try write(llmc(1, 3), "c.bin")], length: 2)
        #expect(try shards.sample(at: 0).1.scalars(Int.self) == [8, 9])
        for (version, count) in [(2, 3), (1, 4), (1, -1), (1, .max)] as [(Int32, Int32)] {
            #expect(throws: TokenShardError.self) { try TokenShards([try self.write(llmc(version, count), "d.bin")], length: 2) }
        }
        var writer = try TokenShardWriter(path("w.bin"))
        #expect(throws: TokenShardError.self) { try writer.write([65_536]) }
        #expect(throws: TokenShardError.self) { try writer.write([-1]) }
    }
}
