final class MapAxisBackward: Node, @unchecked Sendable {
    let axis: Int, map: AxisMap
    init(axis: Int, map: AxisMap) {
        self.axis = axis
        self.map = map
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g.mapped(axis: axis, by: map.transposed) }
}

extension Tensor {
    /// A sparse linear map along one axis, which changes the axis' size from `map.inputs` to `map.outputs`. float32 and float64.
    func mapped(axis: Int, by map: AxisMap) -> Tensor {
        if isBatched { return lifted { x, hidden in x.mapped(axis: axis + hidden, by: map) } }
        var shape = self.shape
        shape[axis] = map.outputs
        let view = AxisView(self.shape, axis: axis)
        let out = RawTensor(shape: shape, dtype, device)
        out.backend.mapAxis(raw.contiguous(), out, outer: view.outer, inner: view.inner, map)
        return record(out, self) { MapAxisBackward(axis: axis, map: map) }
    }

    /// The maps of the trailing axes, those first that shrink their axis most. The half types go through float32.
    func mappedTrailing(by maps: [AxisMap]) -> Tensor {
        let type: DType = dtype == .float64 ? .float64 : .float32
        let lead = rank - maps.count
        func growth(_ i: Int) -> Double { Double(maps[i].outputs) / Double(Swift.max(maps[i].inputs, 1)) }
        let order = maps.indices.sorted { growth($0) == growth($1) ? $0 < $1 : growth($0) < growth($1) }
        return order.reduce(to(type)) { $0.mapped(axis: lead + $1, by: maps[$1]) }.to(dtype)
    }
}
