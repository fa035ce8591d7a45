import CoreTensor

/// Why samples could not be made a batch.
public struct CollateError: Error, CustomStringConvertible, Equatable {
    /// The shapes or types that do not fit, as a sentence.
    public let description: String
    init(_ description: String) { self.description = description }
}

/// Tensors of one shape and type along a new first axis: `[...]` each give `[batch, ...]`. Throws ``CollateError`` where they differ.
public func stacked(_ samples: [Tensor]) throws -> Tensor {
    guard let first = samples.first else { throw CollateError("a batch of no samples") }
    if let other = samples.first(where: { $0.shape != first.shape || $0.dtype != first.dtype }) {
        throw CollateError(
            "samples of \(first.shape) \(first.dtype) and \(other.shape) \(other.dtype) cannot be stacked; pad them, or crop them to one size"
        )
    }
    return stack(samples)
}

/// Inputs and labels, each along a new first axis. Throws ``CollateError`` where shapes or types differ.
public func stackedPairs(_ samples: [(Tensor, Tensor)]) throws -> (Tensor, Tensor) {
    (try stacked(samples.map(\.0)), try stacked(samples.map(\.1)))
}

/// Sequences of different lengths in one tensor.
public struct PaddedBatch: Sendable {
    /// `[batch, longest, ...]`, filled up after the end of each sequence.
    public let values: Tensor
    /// `[batch, longest]`, bool: true where there is a value.
    public let mask: Tensor
    /// The length of each sequence.
    public let lengths: [Int]
}

/// Sequences `[length, ...]`, of the same axes after the first, as one batch filled up with `value`. The longest sequence is rounded up to a
/// multiple of `multiple`. Throws ``CollateError`` on scalars, differing axes or types, and on no sequences.
public func padded(_ sequences: [Tensor], with value: Double = 0, multiple: Int = 1) throws -> PaddedBatch {
    if multiple < 1 { fail("padded", "a multiple of \(multiple)") }
    guard let first = sequences.first else { throw CollateError("a batch of no samples") }
    for sequence in sequences {
        if sequence.rank == 0 { throw CollateError("a scalar has no length to pad; sequences are [length, ...]") }
        if sequence.shape.dropFirst() != first.shape.dropFirst() || sequence.dtype != first.dtype {
            throw CollateError(
                "sequences of \(first.shape) \(first.dtype) and \(sequence.shape) \(sequence.dtype) differ beside their lengths")
        }
    }
    let lengths = sequences.map { $0.shape[0] }
    let longest = (lengths.max()! + multiple - 1) / multiple * multiple
    let rows = sequences.map { sequence -> Tensor in
        if sequence.shape[0] == longest { return sequence }
        let rest = Tensor(
            repeating: value, shape: [longest - sequence.shape[0]] + Array(sequence.shape.dropFirst()), dtype: sequence.dtype,
            device: sequence.device)
        return concatenate([sequence, rest])
    }
    let mask = Tensor(arange: longest).unsqueezed(0) .< Tensor(lengths, shape: [lengths.count, 1])
    return PaddedBatch(values: stack(rows), mask: mask, lengths: lengths)
}
