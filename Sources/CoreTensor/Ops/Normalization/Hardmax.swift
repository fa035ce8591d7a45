/// 1 at the first of the largest elements along an axis, 0 elsewhere: softmax at temperature 0. No derivative but 0.
public func hardmax(_ x: Tensor, axis: Int = -1) -> Tensor {
    let axis = resolveAxis("hardmax", axis, rank: x.rank)
    if x.rank == 0 { return Tensor(onesLike: x) }
    let plain = x.detached()
    return Tensor(zerosLike: plain).scattered(axis: axis, index: plain.argmax(axis: axis, keepDims: true), value: 1)
}
