// Rearrangements made of views, slices and joins.

extension Tensor {
    /// A view with one axis moved to another position.
    public func movedAxis(from source: Int, to destination: Int) -> Tensor { movedAxes(from: [source], to: [destination]) }

    /// A view with several axes moved to other positions (PyTorch's `movedim`).
    public func movedAxes(from sources: [Int], to destinations: [Int]) -> Tensor {
        let from = sources.map { resolveAxis("movedAxes", $0, rank: rank) }
        let to = destinations.map { resolveAxis("movedAxes", $0, rank: rank) }
        if from.count != to.count || Set(from).count != from.count || Set(to).count != to.count {
            fail("movedAxes", "axes \(sources) to \(destinations): as many places as axes, none twice")
        }
        if rank == 0 { return self }
        var order = [Int](repeating: -1, count: rank)
        for (f, t) in zip(from, to) { order[t] = f }
        var rest = (0..<rank).filter { !from.contains($0) }.makeIterator()
        for i in 0..<rank where order[i] < 0 { order[i] = rest.next()! }
        return permuted(order)
    }

    /// The elements moved along an axis by `shift` places (negative: towards the front), those at the end coming in again.
    public func rolled(_ shift: Int, axis: Int) -> Tensor {
        if rank == 0 { fail("rolled", "a scalar has no axis \(axis)") }
        let axis = resolveAxis("rolled", axis, rank: rank)
        if shape[axis] == 0 { return self }
        let n = shape[axis], s = ((shift % n) + n) % n
        if s == 0 { return self }
        return concatenate(
            [narrowed(axis: axis, start: n - s, length: s), narrowed(axis: axis, start: 0, length: n - s)], axis: axis)
    }

    /// ``rolled(_:axis:)`` along several axes.
    public func rolled(_ shifts: [Int], axes: [Int]) -> Tensor {
        if shifts.count != axes.count { fail("rolled", "\(shifts.count) shifts for \(axes.count) axes") }
        return zip(shifts, axes).reduce(self) { $0.rolled($1.0, axis: $1.1) }
    }

    /// The row-major sequence of all elements moved by `shift` places.
    public func rolled(_ shift: Int) -> Tensor { flattened().rolled(shift, axis: 0).reshaped(shape) }

    /// The plane of two axes turned by `times` quarter turns, from the first axis towards the second.
    public func rotated(_ times: Int = 1, axes: (Int, Int) = (0, 1)) -> Tensor {
        if rank < 2 { fail("rotated", "needs a plane, not \(shape)") }
        let a = resolveAxis("rotated", axes.0, rank: rank), b = resolveAxis("rotated", axes.1, rank: rank)
        if a == b { fail("rotated", "the plane of axis \(axes.0) with itself") }
        switch ((times % 4) + 4) % 4 {
        case 1: return flipped(Axes([b])).transposed(a, b)
        case 2: return flipped(Axes([a, b]))
        case 3: return flipped(Axes([a])).transposed(a, b)
        default: return self
        }
    }

    /// The whole tensor repeated along each axis; missing axes come in front (PyTorch's `repeat`, NumPy's `tile`).
    public func tiled(_ counts: [Int]) -> Tensor {
        if counts.contains(where: { $0 < 0 }) { fail("tiled", "\(counts) repetitions") }
        let n = Swift.max(counts.count, rank)
        let times = [Int](repeating: 1, count: n - counts.count) + counts
        let sizes = [Int](repeating: 1, count: n - rank) + shape
        let interleaved = zip(times, sizes).flatMap { [$0, $1] }
        return reshaped(sizes.flatMap { [1, $0] }).expanded(to: interleaved).reshaped(zip(times, sizes).map(*))
    }

    /// Each element of an axis repeated `times` times in place; without an axis, of the flattened tensor.
    public func repeatInterleaved(_ times: Int, axis: Int? = nil) -> Tensor {
        guard let axis else { return flattened().repeatInterleaved(times, axis: 0) }
        let place = resolveAxis("repeatInterleaved", axis, rank: rank)
        if times < 0 { fail("repeatInterleaved", "\(times) repetitions") }
        let x = rank == 0 ? reshaped([1]) : self
        var wide = x.shape, result = x.shape
        wide.insert(times, at: place + 1)
        result[place] *= times
        return x.unsqueezed(place + 1).expanded(to: wide).reshaped(result)
    }

    /// Each element of an axis repeated as often as `times` (a vector of integers, one each) says.
    public func repeatInterleaved(_ times: Tensor, axis: Int? = nil) -> Tensor {
        guard let axis else { return flattened().repeatInterleaved(times, axis: 0) }
        let place = resolveAxis("repeatInterleaved", axis, rank: rank)
        if times.count == 1 { return repeatInterleaved(times.item(Int.self), axis: place) }
        let n = rank == 0 ? 1 : shape[place]
        let list = times.scalars(Int.self)
        if times.rank != 1 || list.count != n || list.contains(where: { $0 < 0 }) {
            fail(
                "repeatInterleaved", "repetitions \(times.shape) for axis \(place) of \(shape): one count, not negative, for each"
            )
        }
        let index = list.enumerated().flatMap { [Int](repeating: $0.offset, count: $0.element) }
        return (rank == 0 ? reshaped([1]) : self).indexSelect(
            axis: place, index: Tensor(index, shape: [index.count], device: device))
    }

    /// Windows of `size` elements along an axis, one every `step`: the axis becomes their number, and a last axis `[size]` comes on.
    public func windows(axis: Int, size: Int, step: Int = 1) -> Tensor {
        let place = resolveAxis("windows", axis, rank: rank)
        let x = rank == 0 ? reshaped([1]) : self
        if size < 0 || step < 1 || size > x.shape[place] {
            fail("windows", "windows of \(size) elements, step \(step), along axis \(place) of \(shape)")
        }
        let n = (x.shape[place] - size) / step + 1
        let starts = (Tensor(arange: n, device: device) * step).unsqueezed(1) + Tensor(arange: size, device: device)
        let taken = x.indexSelect(axis: place, index: starts.flattened())
        let result = taken.unflattened(place, into: [n, size]).movedAxis(from: place + 1, to: -1)
        return rank == 0 ? result.squeezed(0) : result
    }
}

/// Tensors broadcast to their common shape.
public func broadcastTensors(_ tensors: [Tensor]) -> [Tensor] {
    let shape = tensors.reduce([]) { requireBroadcast("broadcastTensors", $0, $1.shape) }
    return tensors.map { $0.expanded(to: shape) }
}

/// How the first two axes of a mesh stand: as a matrix's (`ij`) or as a picture's (`xy`).
public enum MeshIndexing: Sendable { case ij, xy }

/// Coordinate grids from vectors (scalars count as vectors of one): result `i` has the elements of tensor `i` along axis `i`.
public func meshgrid(_ tensors: [Tensor], indexing: MeshIndexing = .ij) -> [Tensor] {
    for t in tensors where t.rank > 1 { fail("meshgrid", "needs vectors, not \(t.shape)") }
    if indexing == .xy && tensors.count > 1 {
        return meshgrid(tensors).map { $0.transposed(0, 1) }
    }
    let shape = tensors.map(\.count)
    return tensors.enumerated().map { i, t in
        var own = [Int](repeating: 1, count: tensors.count)
        own[i] = t.count
        return t.reshaped(own).expanded(to: shape)
    }
}

/// All combinations of one element from each vector, `[product of sizes, number of vectors]`; of one vector the vector itself.
public func cartesianProduct(_ tensors: [Tensor]) -> Tensor {
    if tensors.count == 1 { return tensors[0] }
    return stack(meshgrid(tensors).map { $0.flattened() }, axis: 1)
}

/// All combinations of `r` elements of a vector in order, `[combinations, r]`.
public func combinations(_ x: Tensor, _ r: Int = 2, withReplacement: Bool = false) -> Tensor {
    if x.rank != 1 || r < 0 { fail("combinations", "\(r) elements of a tensor of shape \(x.shape); needs a vector") }
    if r == 0 { return Tensor(zeros: [0], dtype: x.dtype, device: x.device) }
    var rows: [[Int]] = [[]]
    for _ in 0..<r {
        rows = rows.flatMap { row -> [[Int]] in
            let first = row.last.map { withReplacement ? $0 : $0 + 1 } ?? 0
            return first < x.count ? (first..<x.count).map { row + [$0] } : []
        }
    }
    let index = Tensor(rows.flatMap { $0 }, shape: [rows.count * r], device: x.device)
    return x.indexSelect(axis: 0, index: index).reshaped([rows.count, r])
}

/// Matrices on the diagonal of a matrix of zeros; vectors and scalars count as rows.
public func blockDiagonal(_ tensors: [Tensor]) -> Tensor {
    let blocks = tensors.map { t -> Tensor in
        if t.rank > 2 { fail("blockDiagonal", "needs matrices, not \(t.shape)") }
        return t.rank == 2 ? t : t.reshaped([1, t.count])
    }
    let dtype = blocks.reduce(blocks.first?.dtype ?? .float32) { $0.promoted(with: $1.dtype) }
    let width = blocks.reduce(0) { $0 + $1.shape[1] }
    var before = 0
    let rows = blocks.map { block -> Tensor in
        defer { before += block.shape[1] }
        let left = Tensor(zeros: [block.shape[0], before], dtype: dtype, device: block.device)
        let right = Tensor(zeros: [block.shape[0], width - before - block.shape[1]], dtype: dtype, device: block.device)
        return concatenate([left, block.to(dtype), right], axis: 1)
    }
    return rows.isEmpty ? Tensor(zeros: [1, 0]) : concatenate(rows)
}

/// With at least `rank` axes, 1 to 3: a vector becomes a row, and a matrix gets a last axis of size 1 (NumPy's `atleast_nd`).
public func atLeast(_ rank: Int, _ x: Tensor) -> Tensor {
    switch (rank, x.rank) {
    case (1, 0): return x.reshaped([1])
    case (2, 0): return x.reshaped([1, 1])
    case (2, 1): return x.unsqueezed(0)
    case (3, 0): return x.reshaped([1, 1, 1])
    case (3, 1): return x.unsqueezed(0).unsqueezed(-1)
    case (3, 2): return x.unsqueezed(-1)
    default: return x
    }
}

extension Tensor {
    /// Cut at the given positions of an axis (PyTorch's `tensor_split`); positions out of range are cut to the axis.
    public func split(at positions: [Int], axis: Int = 0) -> [Tensor] {
        if rank == 0 { fail("split", "a scalar has no axis to cut") }
        let axis = resolveAxis("split", axis, rank: rank), n = shape[axis]
        let cuts = [0] + positions.map { Swift.min(Swift.max($0 < 0 ? $0 + n : $0, 0), n) } + [n]
        return zip(cuts, cuts.dropFirst()).map { narrowed(axis: axis, start: Swift.min($0, n), length: Swift.max($1 - $0, 0)) }
    }

    /// Cut into `count` parts whose sizes differ by one at most, the longer ones first.
    public func split(evenly count: Int, axis: Int = 0) -> [Tensor] {
        if rank == 0 || count < 1 { fail("split", "\(count) parts of a tensor of shape \(shape)") }
        let axis = resolveAxis("split", axis, rank: rank), n = shape[axis]
        var start = 0
        return (0..<count).map { i in
            let length = n / count + (i < n % count ? 1 : 0)
            defer { start += length }
            return narrowed(axis: axis, start: start, length: length)
        }
    }

    /// The slices along an axis, without it.
    public func unstacked(axis: Int = 0) -> [Tensor] {
        if rank == 0 { fail("unstacked", "a scalar has no axis") }
        let axis = resolveAxis("unstacked", axis, rank: rank)
        return shape[axis] == 0 ? [] : split(size: 1, axis: axis).map { $0.squeezed(Axes([axis])) }
    }
}
