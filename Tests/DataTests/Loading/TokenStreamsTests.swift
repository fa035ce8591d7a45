import Tapestry
import Testing

/// Streams side by side, for recurrent networks.
@Suite struct TokenStreamsTests {
    @Test func batchesGoOnWhereTheOnesBeforeEnded() async throws {
        let streams = try TokenStreams(Array(0..<103), length: 5, streams: 4)
        #expect(streams.count == 5)
        let loader = streams.loader()
        for _ in 0..<2 {
            var rows = [[Int]](repeating: [], count: 4), followers = rows, batches = 0
            for try await batch in loader {
                #expect(batch.inputs.shape == [4, 5] && batch.isFirst == (batches == 0))
                for (row, (x, y)) in zip(batch.inputs.matrix(Int.self), batch.targets.matrix(Int.self)).enumerated() {
                    rows[row] += x
                    followers[row] += y
                }
                batches += 1
            }
            #expect(batches == 5 && rows == (0..<4).map { Array((25 * $0)..<(25 * $0 + 25)) })
            #expect(followers == rows.map { $0.map { $0 + 1 } })
        }
        // A place in the middle.
        loader.state = DataLoaderState(epoch: 2, batch: 3)
        for try await batch in loader {
            #expect(batch.inputs[0, 0].item(Int.self) == 15 && !batch.isFirst)
            break
        }
        #expect(throws: TokenizerError.self) { try TokenStreams(Array(0..<20), length: 5, streams: 4) }
        #expect(try TokenStreams(Array(0..<21), length: 5, streams: 4).count == 1)
        #expect(throws: TokenizerError.self) { try TokenStreams([1, 2], length: 0, streams: 1) }
    }
}
