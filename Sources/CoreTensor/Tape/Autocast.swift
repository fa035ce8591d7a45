import CKernels

/// Whether ``autocast(to:enabled:_:)`` is in force on this thread.
public var isAutocastEnabled: Bool { tk_get_autocast() >= 0 }

/// Runs `body` with mixed precision (Micikevicius et al., 2018), as `torch.autocast`: each operation picks its type, parameters stay
/// as they are.
///
/// - `matmul`, `linear`, convolutions, `prelu` and `scaledDotProductAttention` compute in `dtype`, to which they convert `float32`
///   (or another 16-bit) operands;
/// - softmax, normalisations, losses, sums, means, products, variances, `logSumExp` and running sums compute in `float32`;
/// - everything else takes its operands' type, the wider of two.
///
/// `float64` is left alone. A leaf that is converted more than once within the outermost region is converted once; change parameters
/// outside of it. Gradients arrive in the leaves' own type, and those of ``linear(_:_:_:)``'s weights are summed in float32 throughout.
/// A backward pass uses each operation's types, inside a region or outside. Regions nest; `enabled: false` (or `dtype` `float32`)
/// makes a part of one compute in the operands' types.
@discardableResult
public func autocast<R>(to dtype: DType = .bfloat16, enabled: Bool = true, _ body: () throws -> R) rethrows -> R {
    if dtype != .bfloat16 && dtype != .float16 && dtype != .float32 {
        fail("autocast", "computes in bfloat16, float16 or float32, not \(dtype)")
    }
    return try withAutocast(enabled && dtype != .float32 ? dtype.code : -1, body)
}

/// For the engine: rules compute in the types of what was saved.
public func withoutAutocast<R>(_ body: () throws -> R) rethrows -> R {
    if tk_get_autocast() < 0 { return try body() }
    return try withAutocast(-1, body)
}

/// For recomputation: `body` in the type of the region that it ran in first (none, if nil), with converted leaves of its own, so that each
/// run records the conversions itself.
package func withAutocast<R>(replaying dtype: DType?, _ body: () throws -> R) rethrows -> R {
    if dtype == nil, Autocast.dtype == nil { return try body() }
    let local = ThreadLocal.current, copies = local.autocastCopies
    local.autocastCopies = [:]
    defer { local.autocastCopies = copies }
    return try withAutocast(dtype.map(\.code) ?? -1, body)
}

private func withAutocast<R>(_ code: Int32, _ body: () throws -> R) rethrows -> R {
    let before = tk_get_autocast(), local = ThreadLocal.current
    tk_set_autocast(code)
    local.autocastDepth += 1
    defer {
        tk_set_autocast(before)
        local.autocastDepth -= 1
        if local.autocastDepth == 0 { local.autocastCopies = [:] }
    }
    return try body()
}

/// Converted leaves of the autocast regions on a thread.
struct AutocastCopies {
    struct Key: Hashable {
        let storage: ObjectIdentifier, layout: ObjectIdentifier, offset: Int, dtype: DType
    }
    /// The original is kept, so that a change in place makes another storage, and no stale copy is found.
    struct Entry { let original: RawTensor, copy: Tensor }
}

package enum Autocast {
    /// The type that products compute in, if a region is in force.
    @inline(__always) package static var dtype: DType? {
        tk_get_autocast() < 0 ? nil : DType(rawValue: numericCast(tk_get_autocast()))
    }

    private static func converts(_ x: Tensor, to dtype: DType) -> Bool {
        x.dtype != dtype && (x.dtype == .float32 || x.dtype == .bfloat16 || x.dtype == .float16)
    }

    /// `x` in the region's type; itself outside of a region, or if it is no float of at most 32 bits.
    @inline(__always) package static func lowered(_ x: Tensor) -> Tensor {
        tk_get_autocast() < 0 ? x : copy(x, to: dtype!)
    }

    /// `x` in float32, if it is a 16-bit float in a region.
    @inline(__always) package static func raised(_ x: Tensor) -> Tensor {
        tk_get_autocast() < 0 ? x : copy(x, to: .float32)
    }

    @inline(never) private static func copy(_ x: Tensor, to dtype: DType) -> Tensor {
        guard converts(x, to: dtype) else { return x }
        guard !x.isBatched, x.node is LeafNode else { return x.to(dtype) }
        let local = ThreadLocal.current
        let key = AutocastCopies.Key(
            storage: ObjectIdentifier(x.raw.storage), layout: ObjectIdentifier(x.raw.layout), offset: x.raw.offset, dtype: dtype)
        // A copy made without recording would lose the gradient.
        if let entry = local.autocastCopies[key], entry.copy.node != nil || !tk_grad_enabled() { return entry.copy }
        let made = x.to(dtype)
        local.autocastCopies[key] = .init(original: x.raw, copy: made)
        return made
    }
}
