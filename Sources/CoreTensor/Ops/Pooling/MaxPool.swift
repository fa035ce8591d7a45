final class MaxPoolBackward: Node, @unchecked Sendable {
    let shape: Shape, planes: Int, inPairs: Bool
    init(shape: Shape, planes: Int, inPairs: Bool) {
        self.shape = shape
        self.planes = planes
        self.inPairs = inPairs
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        scatterPlanes(g, saved(0), planes: planes, into: shape, inPairs: inPairs)
    }
}

final class ScatterPlanesBackward: Node, @unchecked Sendable {
    let planes: Int
    init(planes: Int) {
        self.planes = planes
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { gatherPlanes(g, saved(0), planes: planes) }
}

final class GatherPlanesBackward: Node, @unchecked Sendable {
    let shape: Shape, planes: Int
    init(shape: Shape, planes: Int) {
        self.shape = shape
        self.planes = planes
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { scatterPlanes(g, saved(0), planes: planes, into: shape) }
}

/// Hidden axes of `vmap` in front make more planes.
private func inPlanes(
    _ x: Tensor, _ places: Tensor, _ planes: Int,
    _ body: (_ x: Tensor, _ places: Tensor, _ planes: Int, _ hidden: [Int]) -> Tensor
) -> Tensor {
    liftedTogether([x, places]) { plain, hidden in
        let sizes = Array(plain[0].shape[..<hidden])
        return body(plain[0], plain[1], sizes.reduce(planes, *), sizes)
    }
}

/// Elements added into planes of zeros at their places (int32, of the shape of `x`). `inPairs`: the places of the last two axes lie in
/// disjoint windows of 2 by 2.
func scatterPlanes(_ x: Tensor, _ places: Tensor, planes: Int, into shape: Shape, inPairs: Bool = false) -> Tensor {
    if x.isBatched || places.isBatched {
        return inPlanes(x, places, planes) { scatterPlanes($0, $1, planes: $2, into: $3 + shape, inPairs: inPairs) }
    }
    let out = RawTensor(shape: shape, x.dtype, x.device)
    let dense = x.raw.contiguous(), at = places.raw.contiguous()
    if inPairs {
        out.backend.scatterPairs(dense, places: at, out)
    } else {
        out.backend.scatterPlanes(dense, places: at, out, planes: planes, adding: true)
    }
    return record(out, x) {
        let node = ScatterPlanesBackward(planes: planes)
        node.save(places)
        return node
    }
}

/// The elements of planes at places: the adjoint.
func gatherPlanes(_ x: Tensor, _ places: Tensor, planes: Int) -> Tensor {
    if x.isBatched || places.isBatched {
        return inPlanes(x, places, planes) { x, places, planes, _ in gatherPlanes(x, places, planes: planes) }
    }
    let out = RawTensor(places.raw.layout, x.dtype, x.device)
    out.backend.gatherPlanes(x.raw.contiguous(), places: places.raw.contiguous(), out, planes: planes)
    return record(out, x) {
        let node = GatherPlanesBackward(shape: x.shape, planes: planes)
        node.save(places)
        return node
    }
}

/// The largest of each window and its place in the plane (nil unless asked for, or needed by a gradient).
private func maxPooled(_ operation: String, _ x: Tensor, _ axes: [PoolAxis], wantsPlaces: Bool) -> (Tensor, Tensor?) {
    if x.isBatched {
        let both = x.liftedAll { x, _ in
            let (y, places) = maxPooled(operation, x, axes, wantsPlaces: wantsPlaces)
            return [y] + (places.map { [$0] } ?? [])
        }
        return (both[0], both.count > 1 ? both[1] : nil)
    }
    let lead = Array(x.shape.dropLast(axes.count)), shape = lead + axes.map(\.output)
    if axes.reduce(1, { $0 * $1.input }) > Int(Int32.max) { fail(operation, "planes of \(x.shape) have 2^31 elements or more") }
    let type: DType = x.dtype == .float64 ? .float64 : x.dtype.isFloatingPoint ? .float32 : .int64
    let input = x.to(type), dense = input.raw.contiguous()
    let out = RawTensor(shape: shape, type, x.device)
    let places = wantsPlaces || isRecording([input]) ? RawTensor(out.layout, .int32, x.device) : nil
    let whole = [PoolAxis](repeating: PoolAxis(input: 1, step: 1, starts: [0], counts: [1]), count: 3 - axes.count)
    out.backend.maxPool(dense, out, places: places, axes: whole + axes)
    let y = record(out, input) {
        let inPairs = axes.count == 2 && axes.allSatisfy(\.isInPairs)
        let node = MaxPoolBackward(shape: x.shape, planes: lead.reduce(1, *), inPairs: inPairs)
        node.save(Tensor(raw: places!))
        return node
    }
    return (y.to(x.dtype), places.map { Tensor(raw: $0) })
}

private func maxPool(
    _ operation: String, rank: Int, _ x: Tensor, _ kernelSize: SpatialSizes, _ stride: SpatialSizes?, _ padding: SpatialSizes,
    _ dilation: SpatialSizes, _ ceilMode: Bool, wantsPlaces: Bool
) -> (Tensor, Tensor?) {
    let windows = WindowGeometry(
        operation, x, rank: rank, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode
    )
    return maxPooled(operation, x, (0..<rank).map { windows.axis($0) }, wantsPlaces: wantsPlaces)
}

/// The largest element of each window of the last axis: `x [batch, channels, length]` or `[channels, length]`, floats or integers.
///
/// Windows of `kernelSize` places, `dilation` apart, start every `stride` (default: `kernelSize`) places; what lies in the padding
/// counts as -∞. With `ceilMode` the last window may go over the end. A NaN in a window is its maximum. The gradient goes to the
/// first of equal elements. Traps if a window is larger than the padded input or the padding more than half a window.
public func maxPool1d(
    _ x: Tensor, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, dilation: SpatialSizes = 1,
    ceilMode: Bool = false
) -> Tensor { maxPool("maxPool1d", rank: 1, x, kernelSize, stride, padding, dilation, ceilMode, wantsPlaces: false).0 }

/// ``maxPool1d(_:kernelSize:stride:padding:dilation:ceilMode:)`` over the last two axes.
public func maxPool2d(
    _ x: Tensor, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, dilation: SpatialSizes = 1,
    ceilMode: Bool = false
) -> Tensor { maxPool("maxPool2d", rank: 2, x, kernelSize, stride, padding, dilation, ceilMode, wantsPlaces: false).0 }

/// ``maxPool1d(_:kernelSize:stride:padding:dilation:ceilMode:)`` over the last three axes.
public func maxPool3d(
    _ x: Tensor, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, dilation: SpatialSizes = 1,
    ceilMode: Bool = false
) -> Tensor { maxPool("maxPool3d", rank: 3, x, kernelSize, stride, padding, dilation, ceilMode, wantsPlaces: false).0 }

/// ``maxPool1d(_:kernelSize:stride:padding:dilation:ceilMode:)`` over the last `rank` (1 to 3) axes, with the places of the maxima:
/// `int64` positions in the input's plane, row-major, as ``maxUnpool(_:indices:outputSize:)`` takes them.
public func maxPoolWithIndices(
    _ x: Tensor, rank: Int, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0,
    dilation: SpatialSizes = 1, ceilMode: Bool = false
) -> (values: Tensor, indices: Tensor) {
    if !(1...3).contains(rank) { fail("maxPoolWithIndices", "rank \(rank); must be 1, 2 or 3") }
    let (y, places) = maxPool(
        "maxPoolWithIndices", rank: rank, x, kernelSize, stride, padding, dilation, ceilMode, wantsPlaces: true)
    return (y, places!.to(.int64))
}

private func adaptiveMaxPool(_ operation: String, rank: Int, _ x: Tensor, _ size: AdaptiveSizes, wantsPlaces: Bool) -> (
    Tensor, Tensor?
) {
    checkPooled(operation, x, rank: rank)
    let input = Array(x.shape[(x.rank - rank)...])
    let axes = zip(input, size.expanded(operation, input)).map { adaptiveAxis(input: $0, output: $1) }
    return maxPooled(operation, x, axes, wantsPlaces: wantsPlaces)
}

/// Max pooling to a given output size: window `o` of `n` runs from ⌊o · length / n⌋ to ⌈(o + 1) · length / n⌉. `x [batch, channels,
/// length]` or without batch gives `[batch, channels, outputSize]`; nil keeps the input's size.
public func adaptiveMaxPool1d(_ x: Tensor, outputSize: AdaptiveSizes) -> Tensor {
    adaptiveMaxPool("adaptiveMaxPool1d", rank: 1, x, outputSize, wantsPlaces: false).0
}

/// ``adaptiveMaxPool1d(_:outputSize:)`` over the last two axes.
public func adaptiveMaxPool2d(_ x: Tensor, outputSize: AdaptiveSizes) -> Tensor {
    adaptiveMaxPool("adaptiveMaxPool2d", rank: 2, x, outputSize, wantsPlaces: false).0
}

/// ``adaptiveMaxPool1d(_:outputSize:)`` over the last three axes.
public func adaptiveMaxPool3d(_ x: Tensor, outputSize: AdaptiveSizes) -> Tensor {
    adaptiveMaxPool("adaptiveMaxPool3d", rank: 3, x, outputSize, wantsPlaces: false).0
}

/// ``adaptiveMaxPool1d(_:outputSize:)`` over the last `rank` (1 to 3) axes, with the places of the maxima as
/// ``maxPoolWithIndices(_:rank:kernelSize:stride:padding:dilation:ceilMode:)`` gives them.
public func adaptiveMaxPoolWithIndices(_ x: Tensor, rank: Int, outputSize: AdaptiveSizes) -> (values: Tensor, indices: Tensor) {
    if !(1...3).contains(rank) { fail("adaptiveMaxPoolWithIndices", "rank \(rank); must be 1, 2 or 3") }
    let (y, places) = adaptiveMaxPool("adaptiveMaxPoolWithIndices", rank: rank, x, outputSize, wantsPlaces: true)
    return (y, places!.to(.int64))
}
