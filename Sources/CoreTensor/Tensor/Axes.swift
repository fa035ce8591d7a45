/// Axes of a tensor: `.all`, one axis (`1`), or several (`[0, -1]`). Negative axes count from the last.
public struct Axes: Sendable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral {
    let list: [Int]?

    /// Every axis, so that a reduction gives a scalar.
    public static let all = Axes(list: nil)

    init(list: [Int]?) { self.list = list }
    /// The axes in `axes`, in any order; an operation traps on one out of range or named twice.
    public init(_ axes: [Int]) { list = axes }
    /// One axis.
    public init(integerLiteral value: Int) { list = [value] }
    /// Several axes; `[]` names none.
    public init(arrayLiteral elements: Int...) { list = elements }

    /// The same axes of a tensor with hidden axes in front, once their number is known.
    func shifted(_ operation: String, rank: Int) -> (_ hidden: Int) -> Axes {
        let list = resolved(operation, rank: rank)
        return { hidden in Axes(list.map { $0 + hidden }) }
    }

    /// Sorted, non-negative and distinct. A scalar takes the axis 0 (or -1) of the vector it could be, and has none.
    func resolved(_ operation: String, rank: Int) -> [Int] {
        guard let list else { return Array(0..<rank) }
        var result: [Int] = []
        for axis in list {
            let resolved = resolveAxis(operation, axis, rank: rank)
            if result.contains(resolved) { fail(operation, "axis \(axis) is named twice in \(list)") }
            result.append(resolved)
        }
        return rank == 0 ? [] : result.sorted()
    }
}

@inline(__always)
func resolveAxis(_ operation: String, _ axis: Int, rank: Int) -> Int {
    let resolved = axis < 0 ? axis + Swift.max(rank, 1) : axis
    if resolved < 0 || resolved >= Swift.max(rank, 1) {
        fail(operation, "axis \(axis) is out of range for rank \(rank) (allowed: \(-rank) ..< \(rank))")
    }
    return resolved
}
