import Foundation
import Tapestry
import Testing

@testable import Training

/// What training writes down.
@Suite(.serialized) final class LoggingTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(at: folder) }

    private func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    /// One live line on a terminal, plain lines elsewhere.
    @Test func console() async throws {
        for isTerminal in [true, false] {
            var text = ""
            let run = Fixture.run { $0.steps = 12 }
            run.trainer.callbacks = [ConsoleLogger(every: 5, isTerminal: isTerminal) { text += $0 }]
            _ = try await run.trainer.fit(run.loader, validation: DataLoader(Fixture.data(), batchSize: 30))
            let lines = text.split(separator: "\n").map(String.init)
            #expect(lines.contains { $0.contains("validation at step 6, epoch 1: loss ") && $0.hasSuffix("best so far") })
            #expect(lines.last?.hasSuffix("done after 12 steps") == true)
            if isTerminal {
                #expect(text.count { $0 == "\r" } >= 12)
                #expect(text.contains("\r\u{1B}[Kstep 7/12  epoch 2  loss "))
            } else {
                #expect(!text.unicodeScalars.contains("\u{1B}") && !text.unicodeScalars.contains("\r"))
                #expect(lines.filter { $0.hasPrefix("step ") }.map { $0.prefix(8) } == ["step 5/1", "step 10/", "step 12/"])
                #expect(lines.contains { $0.contains(" samples/s") && $0.hasSuffix("0:00 left") })
            }
        }
    }

    /// The files of a run that was cut off and resumed are those of one that was not, but for the seconds.
    @Test func csvGoesOn() async throws {
        func rows(_ name: String) throws -> [String] {
            try String(contentsOfFile: path(name), encoding: .utf8).split(separator: "\n").map {
                $0.split(separator: ",").prefix(6).joined(separator: ",")
            }
        }
        let held = DataLoader(Fixture.data(), batchSize: 30)
        let whole = Fixture.run()
        whole.trainer.callbacks = [CSVLogger(path("whole.csv"))]
        _ = try await whole.trainer.fit(whole.loader, validation: held)
        let checkpoints = path("run")
        for stop in [9, 4] {
            // The second time training is set back behind what the file has, as after a kill between two checkpoints.
            let part = Fixture.run {
                $0.folder = checkpoints
                $0.steps = stop
            }
            part.trainer.callbacks = [CSVLogger(path("run.csv"))]
            _ = try await part.trainer.fit(part.loader, validation: held)
        }
        let log = FileHandle(forWritingAtPath: path("run.csv"))!
        log.seekToEndOfFile()
        log.write(Data("5,0,0.1,0.1,1,72,0.1\n6,0,0.".utf8))
        let rest = Fixture.run {
            $0.folder = checkpoints
            $0.resumes = true
        }
        let curve = LossCurve(path("run.svg"), continuing: path("run.csv"))
        let logger = CSVLogger(path("run.csv"))
        rest.trainer.callbacks = [logger, curve]
        _ = try await rest.trainer.fit(rest.loader, validation: held)
        #expect(logger.error == nil && curve.error == nil)
        #expect(try rows("run.csv") == rows("whole.csv"))
        #expect(try rows("run-validation.csv") == rows("whole-validation.csv"))
        let table = try CSVTable(path("run.csv"))
        #expect(table.rowCount == 24 && table["step"] == .integer((1...24).map { $0 }))
        let svg = try String(contentsOfFile: path("run.svg"), encoding: .utf8)
        #expect(svg.hasPrefix("<svg") && svg.contains("validation loss"))
        // 24 losses on one line.
        let polyline = try #require(svg.split(separator: "\n").first { $0.hasPrefix("<polyline") })
        #expect(polyline.count { $0 == "," } == 24)
        // A folder that is not there stops the log, not training.
        let lost = CSVLogger("/nowhere/run.csv")
        let another = Fixture.run { $0.steps = 2 }
        another.trainer.callbacks = [lost]
        #expect(try await another.trainer.fit(another.loader).steps == 2)
        #expect(lost.error != nil)
    }

    /// The checksum's published test vectors (RFC 3720, B.4), and a file read back by the rules of the format.
    @Test func tensorBoard() async throws {
        #expect(EventFileWriter.crc32c([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(EventFileWriter.crc32c([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(EventFileWriter.crc32c(Array(0..<32)) == 0x46DD_794E)
        let run = Fixture.run { $0.steps = 3 }
        run.trainer.callbacks = [TensorBoardLogger(path("board"))]
        _ = try await run.trainer.fit(run.loader)
        let files = try FileManager.default.contentsOfDirectory(atPath: path("board"))
        #expect(files.count == 1 && files[0].hasPrefix("events.out.tfevents."))
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path("board") + "/" + files[0])))
        var place = 0, records: [[UInt8]] = []
        while place < bytes.count {
            let length = Int(bytes[place..<(place + 8)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
            let data = Array(bytes[(place + 12)..<(place + 12 + length)])
            #expect(EventFileWriter.record(data) == Array(bytes[place..<(place + 16 + length)]))
            records.append(data)
            place += 16 + length
        }
        #expect(records.count == 4)
        #expect(String(decoding: records[0], as: UTF8.self).contains("brain.Event:2"))
        #expect(String(decoding: records[3], as: UTF8.self).contains("train/gradient_norm"))
    }

    @Test func charts() throws {
        var chart = LineChart(title: "a < b & c", xLabel: "x", yLabel: "y", isLogarithmic: true)
        chart.add("one", [(0, 1e-8), (1, 1e3), (2, 0), (3, .nan), (4, 10)])
        chart.add("none", [])
        chart.add("dot", [(2, 1)])
        let svg = chart.svg
        #expect(svg.contains("a &lt; b &amp; c") && svg.contains(">1e-06<") && svg.contains("<circle"))
        let line = try #require(svg.split(separator: "\n").first { $0.hasPrefix("<polyline") })
        #expect(line.count { $0 == "," } == 3)
        // Whatever is in it, it is XML.
        for points in [[], [(0.0, 0.0)], [(1e300, -1e300), (-1e300, 1e300)], (0..<10_000).map { (Double($0), sin(Double($0))) }] {
            var chart = LineChart(title: "t")
            chart.add("s", points.map { (x: $0.0, y: $0.1) })
            #expect(chart.svg.hasSuffix("</svg>\n") && chart.svg.utf8.count < 100_000)
        }
    }
}
