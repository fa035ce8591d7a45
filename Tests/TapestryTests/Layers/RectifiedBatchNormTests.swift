import CKernels
import Tapestry
import TestSupport
import Testing

/// A ReLU in the pass of the normalisation is the ReLU after it.
@Suite struct RectifiedBatchNormTests {
    /// Channel beside channel, short rows, sets one after the other, rows longer than a vector, and rows of one channel.
    static let shapes = [[9, 70], [40, 3, 2], [4, 5, 7, 6], [3, 20, 40], [2, 600, 3, 9], [2, 17, 33, 5], [3, 2, 19]]

    struct Case {
        let x: Tensor, w: Tensor, b: Tensor, g: Tensor, mean: Tensor, variance: Tensor

        init(_ shape: [Int], _ type: DType) {
            let generator = RandomGenerator(seed: UInt64(shape.reduce(1, *)))
            func values(_ shape: [Int]) -> Tensor { Tensor(normal: shape, dtype: .float64, generator: generator).to(type) }
            x = values(shape)
            w = values([shape[1]])
            b = values([shape[1]])
            g = values(shape)
            mean = values([shape[1]])
            variance = abs(values([shape[1]])) + 0.5
        }

        func output(_ leaves: [Tensor], fixed: Bool, fused: Bool) -> Tensor {
            let activation: NormActivation = fused ? .relu : .none
            let y =
                fixed
                ? batchNorm(leaves[0], mean: mean, variance: variance, weight: leaves[1], bias: leaves[2], activation: activation)
                : batchNormWithStatistics(leaves[0], weight: leaves[1], bias: leaves[2], activation: activation).output
            return fused ? y : relu(y)
        }
    }

    /// Bit for bit, by the fused kernels, in training and in evaluation, on every instruction set.
    @Test(arguments: [2, 1, 0]) func firstOrder(_ level: Int) {
        defer { _ = tk_set_isa_level(-1) }
        if tk_set_isa_level(Int32(level)) != Int32(level) { return }
        for shape in Self.shapes {
            for type in [DType.float32, .float64, .float16, .bfloat16] {
                let c = Case(shape, type)
                for fixed in [false, true] {
                    func run(_ fused: Bool) -> [Tensor] {
                        let leaves = [c.x, c.w, c.b].map { $0.asLeaf() }
                        let y = c.output(leaves, fixed: fixed, fused: fused)
                        return [y] + gradients(of: [y], withRespectTo: leaves, gradients: [c.g]).map { $0! }
                    }
                    for (a, b) in zip(run(true), run(false)) { #expect(a.isEqual(to: b), "\(shape) \(type) \(fixed)") }
                }
            }
        }
    }

    @Test(arguments: shapes) func secondOrder(_ shape: [Int]) {
        let c = Case(shape, .float64)
        for fixed in [false, true] {
            func run(_ fused: Bool) -> [Tensor?] {
                let leaves = [c.x, c.w, c.b].map { $0.asLeaf() }
                let y = c.output(leaves, fixed: fixed, fused: fused)
                let first = gradients(of: [y], withRespectTo: leaves, gradients: [c.g], createGraph: true).map { $0! }
                let norm = first.reduce(Tensor(0.0, dtype: .float64)) { $0 + ($1 * $1).sum() }
                return first + gradients(of: [norm], withRespectTo: leaves)
            }
            for (a, b) in zip(run(true), run(false)) {
                #expect((a == nil) == (b == nil))
                if let a, let b { #expect(a.isClose(to: b, rtol: 1e-9, atol: 1e-9), "\(shape) \(fixed)") }
            }
        }
    }

    /// Outputs of all but nothing: gradient and output agree on which are positive.
    @Test func outputsNearZero() {
        for shape in [[6, 20, 40], [50, 4, 3], [64, 5], [2, 3, 700]] {
            let c = Case(shape, .float32)
            let plain = batchNormWithStatistics(c.x, weight: c.w).output
            // One value of each channel comes out as 0, or as near as rounding allows.
            let first = plain.reshaped([shape[0], shape[1], -1])[0, 0..., 0]
            for shift in [0.0, 1e-8, -1e-8] {
                func run(_ fused: Bool) -> [Tensor] {
                    let leaves = [c.x, c.w, -first + shift].map { $0.asLeaf() }
                    let y = c.output(leaves, fixed: false, fused: fused)
                    return [y] + gradients(of: [y], withRespectTo: leaves, gradients: [c.g]).map { $0! }
                }
                for (a, b) in zip(run(true), run(false)) { #expect(a.isEqual(to: b), "\(shape) \(shift)") }
            }
        }
    }

    /// Inputs that are no dense rows, and none at all; a NaN stays one.
    @Test func unusualInputs() {
        let wide = Tensor(normal: [7, 12, 5, 6]), g = Tensor(normal: [5, 4, 6, 3])
        func run(_ fused: Bool) -> [Tensor] {
            let leaf = wide.asLeaf()
            let x = leaf[0..., TensorIndex.every(3), 0..<4, 0..<6].transposed(1, 2)[0..<5, 0..., 0..<3].transposed(2, 3)
            let activation: NormActivation = fused ? .relu : .none
            let y = batchNormWithStatistics(x, activation: activation).output
            let out = fused ? y : relu(y)
            return [out] + gradients(of: [out], withRespectTo: [leaf], gradients: [g]).map { $0! }
        }
        for (a, b) in zip(run(true), run(false)) { #expect(a.isEqual(to: b)) }
        let mean = Tensor(zeros: [3]), variance = Tensor(ones: [3])
        #expect(batchNorm(Tensor(zeros: [0, 3, 4]), mean: mean, variance: variance, activation: .relu).shape == [0, 3, 4])
        let values = batchNorm(
            Tensor([Float.nan, -1, 2]).reshaped([1, 3]), mean: mean, variance: variance, activation: .relu)
        #expect(values[0, 0].item(Float.self).isNaN && values[0, 1].item(Float.self) == 0 && values[0, 2].item(Float.self) > 1)
    }

    /// `Sequential` joins the two layers; running statistics move as without.
    @Test func joinedLayers() {
        let norm = BatchNorm1d(4), model = Sequential(norm, ReLU(), norm), input = Tensor(normal: [5, 4, 3])
        let y = model(input)
        let joined = norm.runningMean!.value
        norm.resetRunningStatistics()
        #expect(y.isEqual(to: norm(relu(norm(input)))))
        #expect(joined.isEqual(to: norm.runningMean!.value))
        model.eval()
        #expect(model(input).isEqual(to: norm(relu(norm(input)))))
    }
}
