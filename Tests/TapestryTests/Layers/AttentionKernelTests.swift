import CKernels
import ConformanceSuite
import TestSupport
import Testing

@testable import CoreTensor
@testable import Tapestry

/// Attention by tiles, with everything that changes scores, against separate operations.
@Suite(.serialized) struct AttentionKernelTests {
    /// What to switch on.
    enum Option: String, CaseIterable {
        case none, causal, firstKey, window, softCap, alibi, boolMask, keyMask, headBias, dropout, everything
    }
    struct Size: CustomStringConvertible {
        var batch = 2
        var kvHeads = 1
        var groups = 1
        var queries: Int
        var keys: Int
        var dim: Int
        var width: Int
        var description: String { "\(batch)x\(kvHeads)·\(groups) \(queries)→\(keys) \(dim)/\(width)" }
    }
    static let sizes = [
        Size(kvHeads: 2, groups: 2, queries: 5, keys: 7, dim: 3, width: 3),
        Size(batch: 1, kvHeads: 2, queries: 33, keys: 33, dim: 17, width: 40),
        Size(kvHeads: 1, groups: 3, queries: 70, keys: 131, dim: 32, width: 32),
        Size(batch: 1, kvHeads: 1, queries: 257, keys: 240, dim: 20, width: 8),
        Size(kvHeads: 2, groups: 2, queries: 1, keys: 600, dim: 24, width: 24),
        Size(batch: 1, kvHeads: 8, queries: 130, keys: 130, dim: 64, width: 64),
    ]

    private struct Problem {
        var q: Tensor, k: Tensor, v: Tensor, g: Tensor, mask: Tensor?
        var plan: AttentionPlan
    }

    private func problem(_ size: Size, _ option: Option, _ dtype: DType) -> Problem {
        let r = RandomGenerator(seed: 31), all = option == .everything
        let heads = size.kvHeads * size.groups
        func normal(_ h: Int, _ n: Int, _ d: Int) -> Tensor {
            // As the projections give them: heads side by side at each position.
            Tensor(normal: [size.batch, n, h, d], dtype: .float64, generator: r).to(dtype).permuted(0, 2, 1, 3).asLeaf()
        }
        var p = Problem(
            q: normal(heads, size.queries, size.dim), k: normal(size.kvHeads, size.keys, size.dim),
            v: normal(size.kvHeads, size.keys, size.width), g: normal(heads, size.queries, size.width).detached(), mask: nil,
            plan: AttentionPlan(
                scale: 0.3, causal: [.causal, .firstKey, .everything].contains(option),
                position: option == .firstKey ? 0 : size.keys - size.queries))
        if option == .window || all { p.plan.window = 19 }
        if option == .softCap || all { p.plan.softCap = 1.3 }
        if option == .alibi || all { p.plan.alibiSlopes = alibiSlopes(heads: heads) }
        if option == .dropout || all { p.plan.dropout = 0.3 }
        if option == .boolMask {
            var seen = Tensor(uniform: [size.batch, 1, size.queries, size.keys], generator: r) .> 0.3
            seen[0, 0, size.queries / 2] = Tensor(false)  // a query that sees nothing
            p.mask = seen
        } else if option == .keyMask {
            p.mask = Tensor(uniform: [size.batch, 1, 1, size.keys], generator: r) .> 0.3
        } else if option == .headBias || all {
            var bias = Tensor(normal: [heads, size.queries, size.keys], dtype: .float64, generator: r)
            bias[0, 0, 0] = Tensor(-Double.infinity)
            p.mask = bias
        }
        return p
    }

    private func attend(_ p: Problem) -> [Tensor] {
        let generator = RandomGenerator(seed: 5)
        let y = scaledDotProductAttention(
            p.q, p.k, p.v, mask: p.mask, causal: p.plan.causal,
            alignment: p.plan.position == 0 && p.q.shape[2] != p.k.shape[2] ? .firstKey : .lastKey, window: p.plan.window,
            softCap: p.plan.softCap, alibiSlopes: p.plan.alibiSlopes, scale: p.plan.scale, dropout: p.plan.dropout,
            generator: generator)
        return [y] + gradients(of: [y], withRespectTo: [p.q, p.k, p.v], gradients: [p.g.to(y.dtype)]).map { $0! }
    }

    /// The same by separate operations, in float64 on the values of p.
    private func compose(_ p: Problem) -> [Tensor] {
        let leaves = [p.q, p.k, p.v].map { $0.detached().to(.float64).asLeaf() }, (q, k, v) = (leaves[0], leaves[1], leaves[2])
        let groups = q.shape[1] / k.shape[1]
        var weights = attentionProbabilities(composedScores(q, repeatHeads(k, groups), p.plan, mask: p.mask))
        if p.plan.dropout > 0 {
            var plan = p.plan
            plan.seed = 5
            weights = weights * droppedFactors(plan, weights.shape, .float64, .cpu)
        }
        let y = matmul(weights, repeatHeads(v, groups))
        return [y] + gradients(of: [y], withRespectTo: [q, k, v], gradients: [p.g.to(.float64)]).map { $0! }
    }

    @Test(arguments: Option.allCases, sizes)
    func againstComposed(_ option: Option, _ size: Size) {
        defer { _ = tk_set_isa_level(-1) }
        for (dtype, tolerance) in [
            (DType.float64, Tolerance(relative: 1e-9, absolute: 1e-11)), (.float32, Tolerance(relative: 2e-5, absolute: 1e-5)),
            (.bfloat16, Tolerance(relative: 2e-2, absolute: 3e-2)), (.float16, Tolerance(relative: 3e-3, absolute: 4e-3)),
        ] {
            let p = problem(size, option, dtype), expected = compose(p)
            for level in dtype == .float64 ? [2] : [0, 1, 2] where tk_set_isa_level(Int32(level)) == Int32(level) {
                for (index, (a, b)) in zip(attend(p), expected).enumerated() {
                    let wrong = mismatch(a.to(.float64), b.detached(), tolerance)
                    #expect(wrong == nil, "\(["output", "dq", "dk", "dv"][index]) \(dtype) level \(level): \(wrong ?? "")")
                }
            }
        }
    }

    /// Gradients of gradients take the composed path, with the same dropped weights.
    @Test(arguments: [Option.everything, .softCap, .dropout, .boolMask])
    func secondOrder(_ option: Option) {
        let p = problem(Size(batch: 1, kvHeads: 1, groups: 2, queries: 4, keys: 6, dim: 3, width: 2), option, .float64)
        func second(_ y: Tensor) -> [Tensor] {
            let first = gradients(of: [y], withRespectTo: [p.q, p.k, p.v], gradients: [p.g], createGraph: true)
            let squares = first.map { ($0! * $0!).sum() }
            return gradients(of: [squares[0] + squares[1] + squares[2]], withRespectTo: [p.q, p.k, p.v]).map { $0! }
        }
        let generator = RandomGenerator(seed: 5)
        let fused = scaledDotProductAttention(
            p.q, p.k, p.v, mask: p.mask, causal: p.plan.causal, window: p.plan.window, softCap: p.plan.softCap,
            alibiSlopes: p.plan.alibiSlopes, scale: p.plan.scale, dropout: p.plan.dropout, generator: generator)
        var weights = attentionProbabilities(composedScores(p.q, repeatHeads(p.k, 2), p.plan, mask: p.mask))
        if p.plan.dropout > 0 {
            var plan = p.plan
            plan.seed = 5
            weights = weights * droppedFactors(plan, weights.shape, .float64, .cpu)
        }
        for (a, b) in zip(second(fused), second(matmul(weights, repeatHeads(p.v, 2)))) {
            #expect(mismatch(a.detached(), b.detached(), Tolerance(relative: 1e-8, absolute: 1e-10)) == nil)
        }
    }

    @Test func aQueryThatSeesNothing() {
        let leaves = (0..<3).map { _ in Tensor(normal: [1, 1, 40, 8]).asLeaf() }, (q, k, v) = (leaves[0], leaves[1], leaves[2])
        let y = scaledDotProductAttention(q, k, v, mask: Tensor(zeros: [40, 40], dtype: .bool))
        y.sum().backward()
        for x in [y.detached(), q.grad!, k.grad!, v.grad!] { #expect(abs(x).max().item(Float.self) == 0) }
    }

    @Test func maskGradient() {
        let p = problem(Self.sizes[0], .headBias, .float64)
        let bias = Tensor(normal: [4, 5, 7], dtype: .float64).asLeaf()
        let y = scaledDotProductAttention(p.q, p.k, p.v, mask: bias)
        #expect(gradients(of: [(y * y).sum()], withRespectTo: [bias])[0] != nil)
    }

    @Test func dropoutKeepsTheMean() {
        let q = Tensor(normal: [2, 3, 100, 16]), v = Tensor(ones: [2, 3, 100, 16])
        let y = scaledDotProductAttention(q, q, v, dropout: 0.25, generator: RandomGenerator(seed: 1))
        #expect(Swift.abs(y.mean().item(Float.self) - 1) < 0.02)
        #expect(y.variance().item(Float.self) > 1e-4)
    }

    /// The same bits for any number of threads, with few heads and with many.
    @Test(arguments: [1, 9])
    func threads(_ heads: Int) {
        let before = Configuration.threadCount
        defer { Configuration.threadCount = before }
        let p = problem(Size(batch: 1, kvHeads: heads, queries: 1200, keys: 1200, dim: 16, width: 16), .everything, .float32)
        Configuration.threadCount = 1
        let one = attend(p).map { $0.detached().withUnsafeBytes { Array($0) } }
        for count in [2, 3] {
            Configuration.threadCount = count
            for (a, b) in zip(one, attend(p)) { #expect(a == b.detached().withUnsafeBytes { Array($0) }) }
        }
    }

    /// At most twice the error of separate operations in float32 (three times for gradients), against float64.
    @Test(arguments: [64, 500, 1024])
    func error(_ length: Int) {
        let p = problem(Size(batch: 1, kvHeads: 2, queries: length, keys: length, dim: 64, width: 64), .causal, .float32)
        let exact = compose(p)
        let weights = attentionProbabilities(composedScores(p.q, p.k, p.plan, mask: nil))
        let y = matmul(weights, p.v)
        let naive = [y] + gradients(of: [y], withRespectTo: [p.q, p.k, p.v], gradients: [p.g]).map { $0! }
        for (index, ((ours, theirs), exact)) in zip(zip(attend(p), naive), exact).enumerated() {
            func rootMeanSquare(_ x: Tensor) -> Double {
                let d = x.detached().to(.float64) - exact.detached()
                return (d * d).mean().item(Double.self).squareRoot()
            }
            let factor = index == 0 ? 2.0 : 3.0
            #expect(rootMeanSquare(ours) <= factor * rootMeanSquare(theirs), "\(index)")
        }
    }

    /// One head at 16,384 tokens, forward and backward, in under 64 MiB above inputs and outputs.
    @Test func memory() {
        let n = 16384, q = Tensor(normal: [1, 1, n, 64]).asLeaf(), k = Tensor(normal: [1, 1, n, 64]).asLeaf(),
            v = Tensor(normal: [1, 1, n, 64]).asLeaf()
        let g = Tensor(normal: [1, 1, n, 64])
        MemoryStatistics.resetPeak()
        let before = MemoryStatistics.current.bytesInUse
        let y = scaledDotProductAttention(q, k, v, causal: true)
        y.backward(gradient: g)
        let outputs = 4 * n * 64 * 4  // the output and three gradients
        #expect(MemoryStatistics.current.peakBytesInUse - before - outputs < 64 << 20)
    }
}
