final class MaxUnpoolBackward: Node, @unchecked Sendable {
    let planes: Int
    init(planes: Int) {
        self.planes = planes
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { gatherPlanes(g, saved(0), planes: planes) }
}

/// Values put back where ``maxPoolWithIndices(_:rank:kernelSize:stride:padding:dilation:ceilMode:)`` took them from, 0 elsewhere:
/// `x` and `indices [batch, channels, ...]` (or without batch) with `outputSize.count` spatial axes give `[batch, channels,
/// outputSize...]`. Of elements with one index the last stays. Traps on indices outside the output.
public func maxUnpool(_ x: Tensor, indices: Tensor, outputSize: [Int]) -> Tensor {
    let rank = outputSize.count
    if !(1...3).contains(rank) || x.rank < rank + 1 || x.rank > rank + 2 || indices.shape != x.shape || x.dtype == .bool {
        fail("maxUnpool", "values \(x.dtype) \(x.shape) and indices \(indices.shape) for an output of \(outputSize)")
    }
    if x.isBatched || indices.isBatched {
        return looped("maxUnpool", [x, indices]) { maxUnpool($0[0], indices: $0[1], outputSize: outputSize) }
    }
    let lead = Array(x.shape.dropLast(rank)), planes = lead.reduce(1, *), size = outputSize.reduce(1, *)
    if size > Int(Int32.max) { fail("maxUnpool", "planes of \(outputSize) have 2^31 elements or more") }
    let places = Tensor(raw: checkedIndices("maxUnpool", indices, limit: size, what: "index")).to(.int32)
    let input = x.to(x.dtype == .float64 ? .float64 : x.dtype.isFloatingPoint ? .float32 : .int64)
    let out = RawTensor(shape: lead + outputSize, input.dtype, x.device)
    out.backend.scatterPlanes(input.raw.contiguous(), places: places.raw.contiguous(), out, planes: planes, adding: false)
    return record(out, input) {
        let node = MaxUnpoolBackward(planes: planes)
        node.save(places)
        return node
    }.to(x.dtype)
}
