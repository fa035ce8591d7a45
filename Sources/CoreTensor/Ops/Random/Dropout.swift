final class DropoutBackward: Node, @unchecked Sendable {
    let keep: Double
    init(keep: Double) {
        self.keep = keep
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let mask = saved(0)
        if g.isBatched || (isGradEnabled && g.requiresGrad) { return which(mask, g / keep, Tensor(zerosLike: g)) }
        let dense = g.raw.broadcast(to: mask.shape).contiguous()
        let out = RawTensor(dense.layout, dense.dtype, dense.device)
        out.backend.dropoutGrad(dense, mask: mask.raw, out, keep: keep)
        return Tensor(raw: out)
    }
}

/// Each element set to 0 with the given probability, the others divided by what is kept, so that the mean stays
/// (inverted dropout; Srivastava et al., 2014). The identity at probability 0 or when not `training`.
public func dropout(
    _ x: Tensor, probability: Double, training: Bool = true, generator: RandomGenerator = .default
) -> Tensor {
    if !(0...1).contains(probability) { fail("dropout", "a probability of \(probability); must be in 0 ... 1") }
    if !training || probability == 0 { return x }
    if !x.dtype.isFloatingPoint { fail("dropout", "needs floats, not \(x.dtype)") }
    if probability == 1 { return x * Tensor(zerosLike: x.detached()) }
    if x.isBatched { return x.lifted { x, _ in dropout(x, probability: probability, generator: generator) } }
    let dense = x.raw.contiguous()
    let out = RawTensor(dense.layout, dense.dtype, dense.device)
    let mask = RawTensor(out.layout, .bool, x.device)
    let s = generator.reserve(out.count, .float32)
    out.backend.dropout(dense, out, mask: mask, seed: s.seed, offset: s.position, keep: 1 - probability)
    return record(out, x) {
        let node = DropoutBackward(keep: 1 - probability)
        node.save(Tensor(raw: mask))
        return node
    }
}
