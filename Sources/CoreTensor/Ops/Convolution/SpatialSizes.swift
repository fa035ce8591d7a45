/// A number per spatial axis, outermost first: `[3, 5]`, or `3` for the same along all of them.
public struct SpatialSizes: Sendable, Hashable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral, CustomStringConvertible {
    let list: [Int]

    /// The same number along every axis.
    public init(_ size: Int) { list = [size] }
    /// A number per axis.
    public init(_ sizes: [Int]) { list = sizes }
    /// The same number along every axis.
    public init(integerLiteral value: Int) { list = [value] }
    /// A number per axis.
    public init(arrayLiteral elements: Int...) { list = elements }

    /// The numbers for `rank` axes; stops if their count is neither 1 nor `rank` or one is below `minimum`.
    public func expanded(_ operation: String, _ what: String, rank: Int, atLeast minimum: Int) -> [Int] {
        if list.count != 1 && list.count != rank {
            fail(operation, "\(what) \(list) for \(rank) spatial axes; needs 1 or \(rank) numbers")
        }
        if let wrong = list.first(where: { $0 < minimum }) {
            fail(operation, "\(what) \(wrong); must be at least \(minimum)")
        }
        return list.count == rank ? list : [Int](repeating: list[0], count: rank)
    }

    /// "3" or "[3, 5]".
    public var description: String { list.count == 1 ? "\(list[0])" : "\(list)" }
}

/// How far a convolution's input is extended at both ends.
public enum ConvolutionPadding: Sendable, Hashable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral {
    /// By these sizes on both sides of each axis.
    case sizes(SpatialSizes)
    /// So that the output is as large as the input (stride 1 only); an odd place goes to the end.
    case same
    /// Not at all.
    case valid

    /// The same padding along every axis.
    public init(integerLiteral value: Int) { self = .sizes(SpatialSizes(value)) }
    /// A padding per axis.
    public init(arrayLiteral elements: Int...) { self = .sizes(SpatialSizes(elements)) }

    /// The places added before and after each axis.
    public func amounts(_ operation: String, kernel: [Int], stride: [Int], dilation: [Int]) -> [(before: Int, after: Int)] {
        switch self {
        case .valid: return kernel.map { _ in (0, 0) }
        case .sizes(let sizes):
            return sizes.expanded(operation, "padding", rank: kernel.count, atLeast: 0).map { ($0, $0) }
        case .same:
            if stride.contains(where: { $0 != 1 }) { fail(operation, "padding .same with stride \(stride); needs stride 1") }
            return zip(kernel, dilation).map { k, d in
                let total = d * (k - 1)
                return (total / 2, total - total / 2)
            }
        }
    }
}
