import CKernels
import ConformanceSuite
import Tapestry
import TestSupport
import Testing

/// A function applied to the tiles of a product, against the function after it, on every instruction set.
@Suite(.serialized) struct ActivatedLinearTests {
    static let sizes: [[Int]] = [
        [3, 5, 7], [90, 70, 65], [700, 33, 40], [29, 801, 100], [40, 64, 32], [0, 8, 9], [169, 1601, 47], [1, 40, 70],
    ]

    @Test(arguments: sizes) func againstTwoPasses(_ size: [Int]) {
        defer { _ = tk_set_isa_level(-1) }
        let (rows, inputs, outputs) = (size[0], size[1], size[2])
        let generator = RandomGenerator(seed: 71)
        func normal(_ shape: Int...) -> Tensor { Tensor(normal: shape, generator: generator) }
        let x = normal(rows, inputs), w = normal(outputs, inputs) * 0.2, bias = normal(outputs), g = normal(rows, outputs)
        for level in [0, 1, 2] where tk_set_isa_level(Int32(level)) == Int32(level) {
            for activation in [LinearActivation.relu, .gelu, .geluTanh, .silu] {
                let fused = [x, w, bias].map { $0.asLeaf() }, plain = [x, w, bias].map { $0.asLeaf() }
                let y = linear(fused[0], fused[1], fused[2], activation: activation)
                let expected = activation(linear(plain[0], plain[1], plain[2]))
                y.backward(gradient: g)
                expected.backward(gradient: g)
                var pairs = [(y, expected), (linear(x.unsqueezed(0), w, activation: activation)[0], activation(linear(x, w)))]
                pairs += zip(fused, plain).map { ($0.grad!, $1.grad!) }
                for (index, (a, b)) in pairs.enumerated() {
                    let wrong = mismatch(a.detached(), b.detached(), Tolerance(relative: 1e-5, absolute: 1e-4))
                    #expect(wrong == nil, "\(activation) \(size), level \(level), \(index): \(wrong ?? "")")
                }
                // Whether the product itself is kept makes no difference.
                #expect(linear(x, w, bias, activation: activation).isEqual(to: y.detached()))
            }
        }
    }

    @Test func threads() {
        let before = Configuration.threadCount
        defer { Configuration.threadCount = before }
        let generator = RandomGenerator(seed: 72)
        let x = Tensor(normal: [300, 900], generator: generator), w = Tensor(normal: [257, 900], generator: generator)
        Configuration.threadCount = 1
        let one = linear(x, w, activation: .gelu)
        for count in [2, 3] {
            Configuration.threadCount = count
            #expect(linear(x, w, activation: .gelu).isEqual(to: one))
        }
    }

    @Test func otherTypesAndTransforms() {
        let generator = RandomGenerator(seed: 73)
        let x = Tensor(normal: [4, 5, 6], generator: generator), w = Tensor(normal: [7, 6], generator: generator)
        for dtype in [DType.float64, .bfloat16] {
            let y = linear(x.to(dtype), w.to(dtype), activation: .silu)
            #expect(y.isEqual(to: silu(linear(x.to(dtype), w.to(dtype)))))
        }
        let batched = vmap { linear($0, w, activation: .gelu) }(x)
        #expect(mismatch(batched, gelu(linear(x, w)), Tolerance(relative: 1e-5, absolute: 1e-5)) == nil)
        // Columns as rows: an input with strides of its own
        let turned = linear(x.permuted(1, 0, 2), w, activation: .relu)
        #expect(mismatch(turned, relu(linear(x, w)).permuted(1, 0, 2), Tolerance(relative: 1e-5, absolute: 1e-5)) == nil)
    }
}
