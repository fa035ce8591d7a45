/// A plain n-dimensional array of doubles: the slow and obvious way to compute what the library computes fast.
public struct ReferenceArray: Sendable {
    public var shape: [Int]
    public var values: [Double]

    public init(_ shape: [Int], _ values: [Double]) {
        precondition(shape.reduce(1, *) == values.count)
        self.shape = shape
        self.values = values
    }

    /// Each element from its index.
    public init(_ shape: [Int], _ element: ([Int]) -> Double) {
        self.shape = shape
        values = ReferenceArray.indices(shape).map(element)
    }

    /// All indices in row-major order.
    public static func indices(_ shape: [Int]) -> [[Int]] {
        var result: [[Int]] = [[]]
        for size in shape { result = result.flatMap { index in (0..<size).map { index + [$0] } } }
        return result
    }

    public subscript(_ index: [Int]) -> Double {
        var flat = 0
        for (size, i) in zip(shape, index) { flat = flat * size + i }
        return values[flat]
    }

    /// The element that broadcasting puts at an index of a larger shape.
    public func broadcast(_ index: [Int]) -> Double {
        let own = index.suffix(shape.count)
        return self[zip(shape, own).map { $0 == 1 ? 0 : $1 }]
    }

    public static func broadcastShape(_ shapes: [[Int]]) -> [Int] {
        let rank = shapes.map(\.count).max() ?? 0
        return (0..<rank).map { axis in
            let sizes = shapes.compactMap { s in axis >= rank - s.count ? s[axis - (rank - s.count)] : nil }
            return sizes.first { $0 != 1 } ?? 1
        }
    }

    /// Elementwise with broadcasting.
    public static func map(_ arrays: [ReferenceArray], _ f: ([Double]) -> Double) -> ReferenceArray {
        ReferenceArray(broadcastShape(arrays.map(\.shape))) { index in f(arrays.map { $0.broadcast(index) }) }
    }

    /// The lists of elements along an axis, folded; the axis goes.
    public func reduced(_ axis: Int, _ f: ([Double]) -> Double) -> ReferenceArray {
        let axis = axis < 0 ? axis + shape.count : axis
        var out = shape
        let n = out.remove(at: axis)
        return ReferenceArray(out) { index in
            f(
                (0..<n).map { i in
                    var full = index
                    full.insert(i, at: axis)
                    return self[full]
                })
        }
    }

    /// The lists of elements along an axis, replaced by lists of the same length.
    public func mapped(along axis: Int, _ f: ([Double]) -> [Double]) -> ReferenceArray {
        let axis = axis < 0 ? axis + shape.count : axis
        return ReferenceArray(shape) { index in
            let line = (0..<shape[axis]).map { i in
                var full = index
                full[axis] = i
                return self[full]
            }
            return f(line)[index[axis]]
        }
    }

    /// The product of the last two axes, the others broadcast.
    public func matmul(_ other: ReferenceArray) -> ReferenceArray {
        let k = shape.last!
        let batch = ReferenceArray.broadcastShape([Array(shape.dropLast(2)), Array(other.shape.dropLast(2))])
        return ReferenceArray(batch + [shape[shape.count - 2], other.shape.last!]) { index in
            let lead = Array(index.dropLast(2)), i = index[index.count - 2], j = index.last!
            return (0..<k).reduce(0.0) { sum, p in sum + broadcast(lead + [i, p]) * other.broadcast(lead + [p, j]) }
        }
    }
}
