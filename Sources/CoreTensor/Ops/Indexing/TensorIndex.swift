/// One index of a subscript: a position, a range with a step, a new axis or "all the axes in between".
public enum TensorIndex: Sendable {
    /// One position, from the end if negative; the axis goes away. Traps if it is out of range.
    case at(Int)
    /// Bounds may be nil (open) or negative (from the end) and are cut to the axis, as NumPy's; `step` is positive.
    case slice(from: Int?, to: Int?, step: Int)
    /// An axis of size 1 put in here.
    case newAxis
    /// All the axes that the other indices leave; at most one in a subscript.
    case ellipsis
    /// Positions on an axis (integers, negative ones from the end), or a mask over as many axes as it has (bools).
    case tensor(Tensor)

    /// The whole axis.
    public static let all = TensorIndex.slice(from: nil, to: nil, step: 1)
    /// Every `step`-th element.
    public static func every(_ step: Int, from: Int? = nil, to: Int? = nil) -> TensorIndex {
        .slice(from: from, to: to, step: step)
    }
}

extension TensorIndex {
    var isTensor: Bool { if case .tensor = self { true } else { false } }
}

/// What may stand in a subscript: integers, ranges, tensors and ``TensorIndex``.
public protocol TensorIndexConvertible {
    /// The index that this stands for.
    var tensorIndex: TensorIndex { get }
}

extension TensorIndex: TensorIndexConvertible {
    /// Itself.
    public var tensorIndex: TensorIndex { self }
}
extension Int: TensorIndexConvertible {
    /// ``TensorIndex/at(_:)`` this position, which takes the axis away.
    public var tensorIndex: TensorIndex { .at(self) }
}
extension Range: TensorIndexConvertible where Bound == Int {
    /// The positions from the lower up to and without the upper bound.
    public var tensorIndex: TensorIndex { .slice(from: lowerBound, to: upperBound, step: 1) }
}
extension ClosedRange: TensorIndexConvertible where Bound == Int {
    /// The positions from the lower through the upper bound.
    public var tensorIndex: TensorIndex { .slice(from: lowerBound, to: upperBound + 1, step: 1) }
}
extension PartialRangeFrom: TensorIndexConvertible where Bound == Int {
    /// The positions from the lower bound to the end of the axis.
    public var tensorIndex: TensorIndex { .slice(from: lowerBound, to: nil, step: 1) }
}
extension PartialRangeUpTo: TensorIndexConvertible where Bound == Int {
    /// The positions from the start up to and without the bound.
    public var tensorIndex: TensorIndex { .slice(from: nil, to: upperBound, step: 1) }
}
extension PartialRangeThrough: TensorIndexConvertible where Bound == Int {
    /// The positions from the start through the bound; -1 is the last.
    public var tensorIndex: TensorIndex { .slice(from: nil, to: upperBound == -1 ? nil : upperBound + 1, step: 1) }
}

/// A subscript worked out against a shape: what remains of each axis. Axes indexed by a position keep size 1 in `layout`'s
/// region and are absent from `resultShape`.
struct SliceRegion: Sendable {
    /// Start per axis of the source, in elements of that axis.
    var layout: Layout
    var offset: Int

    init(_ raw: RawTensor, _ indices: [TensorIndex]) {
        var rankUsed = 0
        var ellipses = 0
        for index in indices {
            switch index {
            case .at, .slice: rankUsed += 1
            case .ellipsis: ellipses += 1
            case .newAxis: break
            case .tensor: fail("subscript", "a tensor index where only positions and ranges may stand")
            }
        }
        let shape = raw.shape
        if rankUsed > shape.count { fail("subscript", "\(rankUsed) indices for a tensor of shape \(shape)") }
        if ellipses > 1 { fail("subscript", "more than one ellipsis") }
        var outShape: [Int] = []
        var outStrides: [Int] = []
        var offset = raw.offset
        var axis = 0
        func keepAxes(_ n: Int) {
            for _ in 0..<n {
                outShape.append(shape[axis])
                outStrides.append(raw.layout.strides[axis])
                axis += 1
            }
        }
        for index in indices {
            switch index {
            case .tensor: break
            case .newAxis:
                outShape.append(1)
                outStrides.append(0)
            case .ellipsis:
                keepAxes(shape.count - rankUsed)
            case .at(let position):
                let size = shape[axis]
                let resolved = position < 0 ? position + size : position
                if resolved < 0 || resolved >= size {
                    fail("subscript", "index \(position) is out of range for axis \(axis) of \(shape)")
                }
                offset += resolved * raw.layout.strides[axis]
                axis += 1
            case .slice(let from, let to, let step):
                if step < 1 { fail("subscript", "a step of \(step): steps are positive; use flipped for reversal") }
                let size = shape[axis]
                func bound(_ value: Int?, _ open: Int) -> Int {
                    guard let value else { return open }
                    return Swift.min(Swift.max(value < 0 ? value + size : value, 0), size)
                }
                let low = bound(from, 0)
                let high = Swift.max(bound(to, size), low)
                offset += low < size ? low * raw.layout.strides[axis] : 0
                outShape.append((high - low + step - 1) / step)
                outStrides.append(raw.layout.strides[axis] * step)
                axis += 1
            }
        }
        keepAxes(shape.count - axis)
        layout = Layout(shape: outShape, strides: outStrides)
        self.offset = offset
    }
}
