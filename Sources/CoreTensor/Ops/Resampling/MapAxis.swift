final class MapAxisBackward: Node, @unchecked Sendable {
    let axis: Int, map: AxisMap
    init(axis: Int, map: AxisMap) {
        self.axis = axis
        self.map = map
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g.mapped(axis: axis, by: map.transposed) }
}

final class MapPlanesBackward: Node, @unchecked Sendable {
    let rows: AxisMap, columns: AxisMap
    init(rows: AxisMap, columns: AxisMap) {
        self.rows = rows
        self.columns = columns
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        g.mappedPlanes(rows: rows.transposed, columns: columns.transposed)
    }
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

    /// Sparse linear maps along the last two axes, in one pass. float32 and float64.
    func mappedPlanes(rows: AxisMap, columns: AxisMap) -> Tensor {
        if isBatched { return lifted { x, _ in x.mappedPlanes(rows: rows, columns: columns) } }
        let out = RawTensor(shape: Array(shape.dropLast(2)) + [rows.outputs, columns.outputs], dtype, device)
        out.backend.mapPlanes(raw.contiguous(), out, rows: rows, columns: columns)
        return record(out, self) { MapPlanesBackward(rows: rows, columns: columns) }
    }

    /// The maps of the last one to three axes; of three, the first comes first unless it makes its axis longer. The half types go
    /// through float32.
    func mappedTrailing(by maps: [AxisMap]) -> Tensor {
        let x = to(dtype == .float64 ? .float64 : .float32), last = maps.count - 1
        if last == 0 { return x.mapped(axis: rank - 1, by: maps[0]).to(dtype) }
        func plane(_ x: Tensor) -> Tensor { x.mappedPlanes(rows: maps[last - 1], columns: maps[last]) }
        func depth(_ x: Tensor) -> Tensor { last == 1 ? x : x.mapped(axis: rank - 3, by: maps[0]) }
        return (maps[0].outputs <= maps[0].inputs ? plane(depth(x)) : depth(plane(x))).to(dtype)
    }
}
