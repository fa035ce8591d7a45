import ConformanceSuite
import Tapestry
import TestSupport
import Testing

@Suite struct AutocastTests {
    private let generator = RandomGenerator(seed: 61)
    private func normal(_ shape: Int...) -> Tensor { Tensor(normal: shape, generator: generator) }

    @Test func types() {
        let x = normal(4, 8), w = normal(6, 8), q = normal(1, 2, 5, 4), image = normal(1, 2, 5, 5), filters = normal(3, 2, 3, 3)
        let labels = Tensor([1, 0, 3, 2])
        autocast {
            let y = linear(x, w, normal(6))
            for (label, z) in [
                ("matmul", matmul(x, w.T)), ("linear", y), ("bmm", matmul(normal(2, 3, 4), normal(2, 4, 5))),
                ("vector", matmul(x, w[0])),
                ("attention", scaledDotProductAttention(q, q, q, causal: true)), ("conv2d", conv2d(image, filters)),
                ("gelu", gelu(y)),
                ("sum of both", y + y), ("prelu", prelu(x, slope: normal(1))),
            ] { #expect(z.dtype == .bfloat16, "\(label)") }
            for (label, z) in [
                ("softmax", softmax(y)), ("logSoftmax", logSoftmax(y)), ("layerNorm", layerNorm(y)), ("rmsNorm", rmsNorm(y)),
                ("sum", y.sum()),
                ("mean", y.mean(1)), ("crossEntropy", crossEntropy(y, labels)), ("mse", mseLoss(y, normal(4, 6))),
                ("promotion", y + normal(4, 6)),
                ("exp of float32", exp(x)), ("variance", y.variance()), ("logSumExp", y.logSumExp(1)), ("prod", y.prod()),
                ("cumsum", y.cumsum(axis: 0)), ("l1", l1Loss(y, y)), ("nll", nllLoss(logSoftmax(y), labels)),
                ("bce", bceWithLogits(y, sigmoid(y))), ("groupNorm", groupNorm(conv2d(image, filters), groups: 1)),
                ("batchNorm", batchNormWithStatistics(conv2d(image, filters)).output),
            ] { #expect(z.dtype == .float32, "\(label)") }
            #expect(matmul(x.to(.float64), w.T.to(.float64)).dtype == .float64)
            #expect(matmul(x.to(.float16), w.T).dtype == .bfloat16)
        }
        #expect(matmul(x, w.T).dtype == .float32)
    }

    @Test func nesting() {
        let x = normal(3, 3)
        var types: [DType] = []
        func note() { types.append(matmul(x, x).dtype) }
        autocast {
            note()
            autocast(enabled: false) {
                note()
                autocast(to: .float16) { note() }
                note()
            }
            autocast(to: .float32) { note() }
            note()
        }
        note()
        #expect(types == [.bfloat16, .float32, .float16, .float32, .float32, .bfloat16, .float32])
        #expect(!isAutocastEnabled)
        struct Stop: Error {}
        try? autocast { throw Stop() }
        #expect(!isAutocastEnabled)
    }

    /// Gradients come back in float32, within bfloat16's error of float32's.
    @Test func masterGradients() {
        let x = normal(5, 32)
        let w = normal(16, 32).asLeaf(), b = normal(16).asLeaf(), v = normal(16, 4).asLeaf()
        func loss() -> Tensor { square(matmul(gelu(linear(x, w, b)), v)).mean() }
        loss().backward()
        let exact = [w, b, v].map { $0.grad! }
        (w.grad, b.grad, v.grad) = (nil, nil, nil)
        autocast { loss() }.backward()
        for (leaf, wanted) in zip([w, b, v], exact) {
            #expect(leaf.grad!.dtype == .float32)
            let scale = abs(wanted).max().item(Double.self)
            let wrong = mismatch(leaf.grad!, wanted, Tolerance(relative: 0, absolute: 0.03 * scale))
            #expect(wrong == nil, "\(wrong ?? "")")
        }
    }

    /// A weight used twice is converted once, and both uses reach it; what was converted without recording is not taken for it; a
    /// changed weight is converted again.
    @Test func copies() {
        var w = normal(8, 8).asLeaf()
        let x = normal(4, 8)
        autocast {
            withoutGrad { _ = matmul(x, w) }
            let y = matmul(matmul(x, w), w)
            y.sum().backward()
            #expect(w.grad != nil)
            let first = matmul(x, w)
            withoutGrad { w += 1 }
            #expect(!matmul(x, w).isEqual(to: first))
        }
        let reference = x.to(.bfloat16)
        #expect(autocast { matmul(x, w) }.isEqual(to: matmul(reference, w.to(.bfloat16))))
    }

    /// Second derivatives pass through a region.
    @Test func secondOrder() {
        let w = normal(6, 6).asLeaf(), x = normal(2, 6)
        let y = autocast { square(linear(x, w)).sum() }
        let first = gradients(of: [y], withRespectTo: [w], createGraph: true)[0]!
        let second = gradients(of: [first.sum()], withRespectTo: [w])[0]!
        let wanted = matmul(Tensor(ones: [6, 2]), x.sum(1, keepDims: true) * x) * 2
        let wrong = mismatch(second, wanted, Tolerance(relative: 0.05, absolute: 0.3))
        #expect(wrong == nil, "\(wrong ?? "")")
    }

    /// A small GPT learns as well as in float32.
    @Test func training() {
        func losses(_ mixed: Bool) -> Double {
            let generator = RandomGenerator(seed: 7)
            let model = GPT(.init(vocabulary: 11, context: 16, width: 32, layers: 2, heads: 2), generator: generator)
            let optimizer = AdamW(model.parameters, learningRate: 3e-3)
            let text = (0..<33).map { ($0 * 7 + $0 / 5) % 11 }
            let ids = Tensor(Array(text[..<32]), shape: [2, 16]), targets = Tensor(Array(text[1...]), shape: [2, 16])
            var last = 0.0
            for _ in 0..<30 {
                let loss = autocast(enabled: mixed) { model.loss(ids, targets) }
                optimizer.zeroGrad()
                loss.backward()
                optimizer.step()
                last = loss.item(Double.self)
            }
            return last
        }
        let exact = losses(false), mixed = losses(true)
        #expect(abs(mixed - exact) <= 0.01 * exact, "\(mixed) beside \(exact)")
    }
}
