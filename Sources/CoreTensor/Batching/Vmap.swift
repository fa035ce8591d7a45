import CKernels

/// A function of one example as a function of many: `vmap(f)(x)` is `f` of every slice of `x` along `inAxis`, stacked along
/// `outAxis`, computed all at once.
///
/// Inside, tensors show the shape of one example and operations run on all of them. Nests with itself, with `grad(of:)` and
/// its kin in any order: `vmap(grad(of: loss))(examples)` gives a gradient per example. Elements cannot be read inside (there is
/// no one value); tensors made inside, random ones too, are the same for every example, while `dropout` draws anew for each.
public func vmap(_ f: @escaping (Tensor) -> Tensor, inAxis: Int = 0, outAxis: Int = 0) -> (Tensor) -> Tensor {
    { x in vmap({ [f($0[0])] }, inAxes: [inAxis], outAxes: [outAxis])([x])[0] }
}

/// ``vmap(_:inAxis:outAxis:)`` of a function of two tensors; nil as an axis passes that argument whole to every example.
public func vmap(
    _ f: @escaping (Tensor, Tensor) -> Tensor, inAxes: (Int?, Int?) = (0, 0), outAxis: Int = 0
) -> (Tensor, Tensor) -> Tensor {
    { x, y in vmap({ [f($0[0], $0[1])] }, inAxes: [inAxes.0, inAxes.1], outAxes: [outAxis])([x, y])[0] }
}

/// ``vmap(_:inAxis:outAxis:)`` of a function of several tensors with several results. `inAxes` has an entry per argument (nil:
/// passed whole), or is left out for all 0; `outAxes` one per result, or is left out for all 0.
public func vmap(
    _ f: @escaping ([Tensor]) -> [Tensor], inAxes: [Int?]? = nil, outAxes: [Int]? = nil
) -> ([Tensor]) -> [Tensor] {
    { inputs in
        let axes = inAxes ?? inputs.map { _ in 0 }
        if axes.count != inputs.count { fail("vmap", "\(axes.count) axes for \(inputs.count) arguments") }
        let resolved = zip(axes, inputs).map { axis, x -> Int? in
            guard let axis else { return nil }
            if x.rank == 0 { fail("vmap", "a scalar has no axis \(axis); pass nil to use it whole") }
            return resolveAxis("vmap", axis, rank: x.rank)
        }
        let sizes = Set(zip(resolved, inputs).compactMap { axis, x in axis.map { x.shape[$0] } })
        guard let size = sizes.first else { fail("vmap", "no argument has an axis to map over") }
        if sizes.count > 1 { fail("vmap", "the mapped axes have different sizes: \(sizes.sorted())") }
        let level = Int(tk_next_sequence())
        let state = ThreadLocal.current
        state.batchLevels.append((level, size))
        defer { state.batchLevels.removeLast() }
        let results = f(zip(resolved, inputs).map { axis, x in axis.map { x.concealing($0, as: level) } ?? x })
        if let outAxes, outAxes.count != results.count { fail("vmap", "\(outAxes.count) axes for \(results.count) results") }
        return results.enumerated().map { i, y in
            let axis = outAxes?[i] ?? 0
            let position = axis < 0 ? axis + y.rank + 1 : axis
            if position < 0 || position > y.rank {
                fail("vmap", "result \(i) of shape \(y.shape) has no place \(axis) for an axis")
            }
            if y.batchLevels.contains(level) { return y.revealing(level, at: position) }
            return y.unsqueezed(position).expanded(to: Array(y.shape[..<position]) + [size] + y.shape[position...])
        }
    }
}

extension Tensor {
    /// Inside `vmap`: the same value with an axis of its own for every level in force, so that gradients with respect to it are
    /// per example.
    public func extendedToAllExamples() -> Tensor {
        let open = ThreadLocal.current.batchLevels
        if open.isEmpty { return self }
        let levels = Set(open.map(\.level)).union(batchLevels).sorted()
        if levels == batchLevels { return self }
        let sizes = levels.map { level in
            open.first { $0.level == level }?.size ?? physical.layout.shape[batchLevels.firstIndex(of: level)!]
        }
        return aligned(to: levels, sizes: sizes).hiding(levels)
    }

    /// With the hidden axes of `other`, repeated, beside its own.
    public func extended(like other: Tensor) -> Tensor {
        let levels = unionOfLevels([self, other])
        if levels == batchLevels { return self }
        return aligned(to: levels, sizes: sizesOfLevels(levels, [self, other])).hiding(levels)
    }
}

/// Runs `body` and says which operations inside `vmap` ran example by example for want of a batched form, and how often.
public func batchingFallbacks(_ body: () -> Void) -> [String: Int] {
    let state = ThreadLocal.current
    let before = state.batchFallbacks
    state.batchFallbacks = [:]
    defer { state.batchFallbacks = before }
    body()
    return state.batchFallbacks ?? [:]
}
