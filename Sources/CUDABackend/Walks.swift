import CCUDA
import CoreTensor

/// The axes of a shape and the steps that several operands take along them: those of size 1 left out, and those that lie behind each other in all
/// operands joined, so that few are left to divide by.
func joinedAxes(_ shape: Shape, _ strides: [[Int]]) -> (dims: [Int], steps: [[Int]]) {
    var dims: [Int] = []
    var steps = [[Int]](repeating: [], count: strides.count)
    for axis in shape.indices where shape[axis] != 1 {
        let joins = !dims.isEmpty && strides.indices.allSatisfy { steps[$0].last! == strides[$0][axis] * shape[axis] }
        if joins {
            dims[dims.count - 1] *= shape[axis]
            for k in strides.indices { steps[k][steps[k].count - 1] = strides[k][axis] }
        } else {
            dims.append(shape[axis])
            for k in strides.indices { steps[k].append(strides[k][axis]) }
        }
    }
    return (dims, steps)
}

/// Element counts and strides as kernels take them.
func makeWalk(_ operation: String, _ shape: Shape, _ strides: [[Int]]) -> tk_cuda_walk {
    let (dims, steps) = joinedAxes(shape, strides)
    let most = TK_CUDA_MAX_RANK
    if dims.count > most {
        fail(operation, "a CUDA kernel walks over \(most) axes at most, and \(shape) has \(dims.count) that do not join")
    }
    var walk = tk_cuda_walk()
    walk.count = Int64(shape.reduce(1, *))
    walk.rank = Int64(dims.count)
    withUnsafeMutableBytes(of: &walk.dims) { bytes in
        let to = bytes.bindMemory(to: Int64.self)
        for (axis, size) in dims.enumerated() { to[axis] = Int64(size) }
    }
    withUnsafeMutableBytes(of: &walk.strides) { bytes in
        let to = bytes.bindMemory(to: Int64.self)
        for (k, list) in steps.enumerated() { for (axis, step) in list.enumerated() { to[k * most + axis] = Int64(step) } }
    }
    return walk
}

extension RawTensor {
    /// Elements of the same memory from an element on, dense unless strides are given.
    func part(_ shape: Shape, strides: [Int]? = nil, from first: Int = 0) -> RawTensor {
        let layout = strides.map { Layout(shape: shape, strides: $0) } ?? Layout(shape: shape)
        return RawTensor(storage: storage, layout: layout, offset: offset + first, dtype: dtype)
    }
}
