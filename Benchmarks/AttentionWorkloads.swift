import Tapestry

extension Workloads {
    /// Causal attention of 12 heads of 64, fused and as separate operations; counted are the visible half of the square, and 2.5 times
    /// the forward work for the gradient.
    static let attention: [Workload] = [256, 1024, 2048, 4096, 8192].flatMap { s -> [Workload] in
        let flops = 4 * Double(s * s) * 64 * 12 / 2, shape = "B1 H12 D64 S\(s) causal"
        func fused(_ q: Tensor, _ k: Tensor, _ v: Tensor) -> Tensor { scaledDotProductAttention(q, k, v, causal: true) }
        func naive() -> (Tensor, Tensor, Tensor) -> Tensor {
            let hidden = Tensor(ones: [s, s]).triu(diagonal: 1).to(.bool).to(device)
            return { q, k, v in softmax((matmul(q, k.transposed()) / 8).maskedFill(hidden, -Double.infinity)) • v }
        }
        return [("sdpa", { fused }), ("naive", naive)].flatMap { kind, make -> [Workload] in
            [
                Workload("attn", "attn_\(kind)_S\(s)_fwd") {
                    let q = normal(1, 12, s, 64), k = normal(1, 12, s, 64), v = normal(1, 12, s, 64), attend = make()
                    return Timed(shape: shape, flops: flops) { use(attend(q, k, v)) }
                },
                Workload("attn", "attn_\(kind)_S\(s)_fwdbwd") {
                    let leaves = (0..<3).map { _ in normal(1, 12, s, 64, grad: true) }
                    let g = normal(1, 12, s, 64), attend = make()
                    return Timed(shape: shape, flops: 3.5 * flops) {
                        for leaf in leaves { leaf.grad = nil }
                        attend(leaves[0], leaves[1], leaves[2]).backward(gradient: g)
                    }
                },
            ]
        }
    }
}
