import CoreTensor

/// Training pairs from one long sequence of tokens: windows of `length` tokens and the tokens that follow them.
///
/// Each epoch visits every window (they overlap by nothing) once, in an order drawn from the seed and the epoch's number. The
/// position is one number, so that training goes on exactly where it stopped.
public struct TokenWindows: Sendable {
    /// The whole sequence.
    public let tokens: [Int]
    /// Tokens per window.
    public let length: Int
    /// Windows per batch.
    public let batchSize: Int
    private let seed: UInt64
    /// Batches handed out so far.
    public var position = 0

    /// Throws if there are too few tokens for one batch.
    public init(_ tokens: [Int], length: Int, batchSize: Int, seed: UInt64) throws {
        if length < 1 || batchSize < 1 { throw TokenizerError("windows of \(length) tokens in batches of \(batchSize)") }
        // Windows start anywhere in an epoch's own offset, which takes up to `length` tokens.
        if tokens.count <= length * (batchSize + 1) {
            throw TokenizerError("\(tokens.count) tokens are too few for a batch of \(batchSize) windows of \(length)")
        }
        self.tokens = tokens
        self.length = length
        self.batchSize = batchSize
        self.seed = seed
    }

    /// Full batches in one epoch; windows left over for less than a batch are left out.
    public var batchesPerEpoch: Int { (tokens.count - 1 - length) / length / batchSize }

    private var order: [Int] = []
    private var orderEpoch = -1

    /// The next batch: inputs and targets, both `[batch, length]` int64.
    public mutating func next() -> (inputs: Tensor, targets: Tensor) {
        let epoch = position / batchesPerEpoch, batch = position % batchesPerEpoch
        if epoch != orderEpoch {
            let generator = RandomGenerator(seed: seed).split(UInt64(epoch))
            let shift = Tensor(integers: 0..<length, shape: [], generator: generator).item(Int.self)
            let windows = (tokens.count - 1 - length) / length
            order = Tensor(permutation: windows, generator: generator).scalars(Int.self).map { $0 * length + shift }
            orderEpoch = epoch
        }
        position += 1
        return pair(Array(order[(batch * batchSize)..<((batch + 1) * batchSize)]))
    }

    /// Windows in sequence, for evaluation: as many full batches as `limit` allows.
    public func sequentialBatches(limit: Int = .max) -> [(inputs: Tensor, targets: Tensor)] {
        let windows = (tokens.count - 1) / length
        return (0..<min(windows / batchSize, limit)).map { batch in
            pair((0..<batchSize).map { (batch * batchSize + $0) * length })
        }
    }

    private func pair(_ starts: [Int]) -> (inputs: Tensor, targets: Tensor) {
        var inputs: [Int] = [], targets: [Int] = []
        inputs.reserveCapacity(starts.count * length)
        targets.reserveCapacity(starts.count * length)
        for start in starts {
            inputs += tokens[start..<(start + length)]
            targets += tokens[(start + 1)..<(start + length + 1)]
        }
        let shape = [starts.count, length]
        return (Tensor(inputs, shape: shape), Tensor(targets, shape: shape))
    }
}
