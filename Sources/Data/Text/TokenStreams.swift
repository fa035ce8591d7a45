import CoreTensor

/// A step of truncated backpropagation through time.
public struct StreamBatch: Sendable {
    /// `[streams, length]` int64: each row goes on where it ended in the batch before.
    public let inputs: Tensor
    /// The tokens that follow those of `inputs`, `[streams, length]` int64.
    public let targets: Tensor
    /// Whether nothing comes before: states begin anew.
    public let isFirst: Bool
}

/// One long sequence of tokens cut into parts that are read side by side, a window at a time: for recurrent networks that carry their state
/// from batch to batch (truncated backpropagation through time, Williams and Peng, 1990).
///
/// ```swift
/// let streams = try TokenStreams(tokens, length: 64, streams: 32)
/// for try await batch in streams.loader() {
///     let state = batch.isFirst ? nil : carried.detached()
///     …
/// }
/// ```
///
/// A sample is a whole batch, and they go in order. Tokens at the end that fill no window are left out.
public struct TokenStreams: Dataset {
    /// The whole sequence.
    public let tokens: [Int]
    /// Tokens per window.
    public let length: Int
    /// Parts read side by side.
    public let streams: Int
    /// Batches in an epoch.
    public let count: Int

    /// Throws ``TokenizerError`` if there are too few tokens for one batch.
    public init(_ tokens: [Int], length: Int, streams: Int) throws {
        if length < 1 || streams < 1 { throw TokenizerError("windows of \(length) tokens in \(streams) streams") }
        count = (tokens.count - 1) / streams / length
        if count < 1 { throw TokenizerError("\(tokens.count) tokens are too few for \(streams) windows of \(length)") }
        (self.tokens, self.length, self.streams) = (tokens, length, streams)
    }

    /// Batch `index` of an epoch.
    public func sample(at index: Int) -> StreamBatch {
        var inputs: [Int] = [], targets: [Int] = []
        for stream in 0..<streams {
            let start = (stream * count + index) * length
            inputs += tokens[start..<(start + length)]
            targets += tokens[(start + 1)..<(start + length + 1)]
        }
        let shape: Shape = [streams, length]
        return StreamBatch(
            inputs: Tensor(inputs, shape: shape), targets: Tensor(targets, shape: shape), isFirst: index == 0)
    }

    /// The batches in order; every loop is an epoch.
    public func loader() -> DataLoader<StreamBatch> { DataLoader(self, batchSize: 1) { samples, _ in samples[0] } }
}
