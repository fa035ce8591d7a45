import ConformanceSuite
import Tapestry
import TestSupport
import Testing

/// Gradients that are summed where they belong, without tensors of their own: against each part by itself.
@Suite struct InPlaceGradientTests {
    private func normal(_ shape: Int..., seed: UInt64, dtype: DType = .float64) -> Tensor {
        Tensor(normal: shape, generator: RandomGenerator(seed: seed)).to(dtype)
    }

    private func expectEqual(_ a: Tensor?, _ b: Tensor, _ tolerance: Tolerance = Tolerance(relative: 1e-12, absolute: 1e-12)) {
        let wrong = mismatch(a!, b, tolerance)
        #expect(wrong == nil, "\(wrong ?? "")")
    }

    /// The head's gradient of the table comes first, the embedding's rows are added to it; ids repeat.
    @Test(arguments: [DType.float32, .float64, .bfloat16]) func tiedEmbedding(_ dtype: DType) {
        for (vocabulary, width, count) in [(300, 70, 40), (300, 131, 299), (7, 5, 40), (50, 3, 0)] {
            let table = normal(vocabulary, width, seed: 1, dtype: dtype)
            let weights = normal(count, vocabulary, seed: 2, dtype: dtype)
            let ids = Tensor(integers: 0..<max(vocabulary / 3, 1), shape: [count], generator: RandomGenerator(seed: 3))
            let tied = table.asLeaf(), first = table.asLeaf(), second = table.asLeaf()
            (linear(embedding(ids, tied), tied) * weights).sum().backward()
            (linear(embedding(ids, first), second) * weights).sum().backward()
            let close = dtype == .float64 ? 1e-12 : dtype == .float32 ? 1e-4 : 0.1
            expectEqual(tied.grad, first.grad! + second.grad!, Tolerance(relative: close, absolute: close))
        }
    }

    /// A weight and an input that meet in several products.
    @Test func sharedLinear() {
        let x = normal(6, 5, 33, seed: 4), w = normal(17, 33, seed: 5), v = normal(9, 33, seed: 6)
        let input = x.asLeaf(), weight = w.asLeaf()
        let y = linear(input, weight), z = linear(input * 2, weight), u = linear(input, v)
        ((y * y).sum() + (z * z * z).sum() + (u * u).sum()).backward()
        let apart = (0..<3).map { _ in x.asLeaf() }, weights = (0..<2).map { _ in w.asLeaf() }
        let y2 = linear(apart[0], weights[0]), z2 = linear(apart[1] * 2, weights[1]), u2 = linear(apart[2], v)
        ((y2 * y2).sum() + (z2 * z2 * z2).sum() + (u2 * u2).sum()).backward()
        expectEqual(input.grad, apart[0].grad! + apart[1].grad! + apart[2].grad!, Tolerance(relative: 1e-10, absolute: 1e-10))
        expectEqual(weight.grad, weights[0].grad! + weights[1].grad!, Tolerance(relative: 1e-10, absolute: 1e-10))
    }

    /// A gradient that somebody else holds is not written to.
    @Test func heldGradientsStay() {
        let x = normal(4, 8, seed: 7).asLeaf(), w = normal(8, 8, seed: 8)
        let h = x * 1
        h.retainGrad()
        let y = linear(h, w)
        let g = normal(4, 8, seed: 9)
        (y + h).backward(gradient: g)
        expectEqual(x.grad, g + g • w)
        expectEqual(h.grad, g + g • w)
        #expect(g.isEqual(to: normal(4, 8, seed: 9)))
    }

    @Test func secondOrder() {
        let w = normal(5, 5, seed: 10).asLeaf(), x = normal(3, 5, seed: 11)
        func f(_ w: Tensor) -> Tensor { let y = linear(linear(x, w), w); return (y * y * y).sum() }
        let g = grad(of: { grad(of: f)($0).sum() })(w.detached())
        let step = 1e-5, difference = (grad(of: f)(w.detached() + step) - grad(of: f)(w.detached() - step)).sum() / (2 * step)
        expectEqual(g.sum(), difference, Tolerance(relative: 1e-6, absolute: 1e-4))
    }

    /// Queries, keys and values that are parts of one product: their gradients are made side by side.
    @Test func packedAttention() {
        for (batch, length, heads, dim) in [(2, 7, 3, 5), (1, 40, 2, 16), (3, 1, 2, 4), (2, 33, 1, 8)] {
            let width = heads * dim, x = normal(batch, length, 3 * width, seed: 12)
            func heads4(_ x: Tensor) -> Tensor { x.unflattened(-1, into: [heads, dim]).permuted(0, 2, 1, 3) }
            let packed = x.asLeaf()
            let parts = (packed * 1).split(sizes: [width, width, width], axis: -1).map(heads4)
            let weights = normal(batch, heads, length, dim, seed: 13)
            (scaledDotProductAttention(parts[0], parts[1], parts[2], causal: true) * weights).sum().backward()
            let apart = x.split(sizes: [width, width, width], axis: -1).map { heads4($0).contiguous().asLeaf() }
            (scaledDotProductAttention(apart[0], apart[1], apart[2], causal: true) * weights).sum().backward()
            let expected = apart.map { $0.grad!.permuted(0, 2, 1, 3).reshaped([batch, length, width]) }
            expectEqual(packed.grad, concatenate(expected, axis: -1))
        }
    }

    /// Gradients with strides of their own through axes that are cut and joined.
    @Test func reshapesOfStridedGradients() {
        let x = normal(4, 6, 10, seed: 14)
        let weights = normal(10, 6, 4, seed: 15)
        for shape in [[4, 2, 3, 10], [24, 10], [4, 6, 2, 5], [1, 4, 6, 1, 10], [4, 60], [240]] {
            let leaf = x.asLeaf()
            let y = leaf.reshaped(shape).reshaped([4, 6, 10]).permuted(2, 1, 0)
            (y * weights).sum().backward()
            expectEqual(leaf.grad, weights.permuted(2, 1, 0))
            let part = x.asLeaf()
            part.reshaped(shape).reshaped([4, 6, 10])[0..., 1..<3].sum().backward()
            #expect(part.grad!.sum().item(Double.self) == 80)
        }
    }
}
