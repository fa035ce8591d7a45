import CoreTensor

/// Several sequences in each row, so that little is padding (Raffel et al., 2020; Krell et al., 2021).
public struct PackedBatch: Sendable {
    /// `[rows, length]`, int64, filled up after the last sequence of each row.
    public let tokens: Tensor
    /// `[rows, length]`, int64: 1, 2 … within a row's sequences, 0 where there is none. Attention is between equal numbers.
    public let segments: Tensor
    /// `[rows, length]`, int64: the place in the token's own sequence.
    public let positions: Tensor
    /// Which of the sequences are in each row, in order.
    public let rows: [[Int]]

    /// Where attention may go, `[rows, length, length]`, bool: from a token to those before it and itself in its own sequence, or with
    /// `causal: false` to all of it. What is padding sees itself alone, so that no row of a softmax is empty.
    public func attentionMask(causal: Bool = true) -> Tensor {
        let length = segments.shape[1]
        let query = segments.unsqueezed(2), key = segments.unsqueezed(1)
        var mask = (query .== key) .& (query .> 0)
        let place = Tensor(arange: length)
        if causal { mask = mask .& (place.unsqueezed(1) .>= place.unsqueezed(0)) }
        return mask .| (place.unsqueezed(1) .== place.unsqueezed(0))
    }
}

/// Packs token sequences into rows of `length`: longest first, each into the first row with room for it (first-fit decreasing, whose number of rows is
/// within 11/9 of the least). Throws ``CollateError`` on a sequence that is longer than a row; empty ones are left out.
///
/// - Parameter padding: fills up the rows.
public func packed(_ sequences: [[Int]], length: Int, padding: Int = 0) throws -> PackedBatch {
    if length < 1 { fail("packed", "rows of \(length) tokens") }
    if let long = sequences.firstIndex(where: { $0.count > length }) {
        throw CollateError("sequence \(long) of \(sequences[long].count) tokens is longer than a row of \(length)")
    }
    var rows: [[Int]] = [], room: [Int] = []
    for index in sequences.indices.sorted(by: { (-sequences[$0].count, $0) < (-sequences[$1].count, $1) })
    where !sequences[index].isEmpty {
        if let row = room.firstIndex(where: { $0 >= sequences[index].count }) {
            rows[row].append(index)
            room[row] -= sequences[index].count
        } else {
            rows.append([index])
            room.append(length - sequences[index].count)
        }
    }
    if rows.isEmpty { throw CollateError("a batch of no tokens") }
    var tokens: [Int] = [], segments: [Int] = [], positions: [Int] = []
    for (row, members) in rows.enumerated() {
        for (segment, index) in members.enumerated() {
            tokens += sequences[index]
            segments += Array(repeating: segment + 1, count: sequences[index].count)
            positions += 0..<sequences[index].count
        }
        tokens += Array(repeating: padding, count: room[row])
        segments += Array(repeating: 0, count: room[row])
        positions += Array(repeating: 0, count: room[row])
    }
    let shape = [rows.count, length]
    return PackedBatch(
        tokens: Tensor(tokens, shape: shape), segments: Tensor(segments, shape: shape),
        positions: Tensor(positions, shape: shape),
        rows: rows)
}
