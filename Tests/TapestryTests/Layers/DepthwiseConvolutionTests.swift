import CKernels
import Tapestry
import TestSupport
import Testing

/// Depthwise 3 × 3 convolution: strips of columns, bands of rows, both gradients at once.
@Suite struct DepthwiseConvolutionTests {
    /// Samples, channels, height, width, padding: rows shorter than a vector, of one strip, of several; planes of one row and of several bands.
    static let shapes = [
        [3, 5, 19, 37, 1], [2, 3, 8, 5, 2], [2, 4, 3, 50, 0], [2, 3, 60, 130, 1], [2, 3, 61, 129, 2], [1, 2, 200, 70, 0],
        [1, 2, 5, 64, 1], [2, 2, 9, 65, 1], [3, 2, 1, 4, 1], [2, 2, 7, 12, 3], [1, 70, 3, 6, 0], [0, 2, 5, 5, 1],
    ]

    @Test(arguments: shapes) func gradients(_ shape: [Int]) {
        let generator = RandomGenerator(seed: UInt64(shape[3]))
        let channels = shape[1], padding = ConvolutionPadding.sizes(SpatialSizes(shape[4]))
        let x = Tensor(normal: Array(shape[..<4]), generator: generator)
        let w = Tensor(normal: [channels, 1, 3, 3], generator: generator), b = Tensor(normal: [channels], generator: generator)
        func run(_ type: DType, _ wanted: [Bool]) -> (Tensor, [Tensor?]) {
            let leaves = zip([x, w, b], wanted).map { $1 ? $0.to(type).asLeaf() : $0.to(type) }
            let y = conv2d(leaves[0], leaves[1], leaves[2], padding: padding, groups: channels)
            let g = Tensor(normal: y.shape, generator: RandomGenerator(seed: 7)).to(type)
            let found = Tapestry.gradients(of: [y], withRespectTo: leaves.filter(\.requiresGrad), gradients: [g])
            var rest = found[...]
            return (y, wanted.map { $0 ? rest.removeFirst() : nil })
        }
        let (y, both) = run(.float32, [true, true, true]), (exact, plain) = run(.float64, [true, true, true])
        #expect(y.to(.float64).isClose(to: exact, rtol: 1e-5, atol: 1e-5))
        for (a, b) in zip(both, plain) { #expect(a!.to(.float64).isClose(to: b!, rtol: 1e-4, atol: 1e-4)) }
        // One at a time they are the same, bit for bit.
        #expect(run(.float32, [true, false, false]).1[0]!.isEqual(to: both[0]!))
        #expect(run(.float32, [false, true, false]).1[1]!.isEqual(to: both[1]!))
    }

    /// An input whose channels lie side by side gives the same bits, and the same gradients.
    @Test(arguments: shapes + [[2, 16, 9, 11, 1], [1, 33, 20, 16, 1], [2, 128, 30, 30, 1]]) func channelsLast(_ shape: [Int]) {
        let generator = RandomGenerator(seed: UInt64(shape[2]))
        let channels = shape[1], padding = ConvolutionPadding.sizes(SpatialSizes(shape[4]))
        let last = Tensor(normal: [shape[0], shape[2], shape[3], channels], generator: generator)
        let w = Tensor(normal: [channels, 1, 3, 3], generator: generator), b = Tensor(normal: [channels], generator: generator)
        func run(_ x: Tensor) -> (Tensor, [Tensor?]) {
            let leaves = [x.asLeaf(), w.asLeaf(), b.asLeaf()]
            let y = conv2d(leaves[0], leaves[1], leaves[2], padding: padding, groups: channels)
            let g = Tensor(normal: y.shape, generator: RandomGenerator(seed: 7))
            return (y, Tapestry.gradients(of: [y], withRespectTo: leaves, gradients: [g]))
        }
        let x = last.permuted(0, 3, 1, 2), (y, found) = run(x), (same, plain) = run(x.contiguous())
        #expect(y.isEqual(to: same) && zip(found, plain).allSatisfy { $0!.isEqual(to: $1!) })
    }

    /// Gradients of gradients come from the separate operations.
    @Test func secondOrder() {
        let x = Tensor(normal: [2, 3, 6, 7], dtype: .float64), w = Tensor(normal: [3, 1, 3, 3], dtype: .float64)
        func f(_ x: Tensor, _ w: Tensor) -> Tensor {
            let y = conv2d(x, w, padding: 1, groups: 3)
            return (y * y * y).sum()
        }
        func norm(_ inputs: [Tensor]) -> Tensor {
            let leaves = inputs.map { $0.requiresGrad ? $0 : $0.asLeaf() }
            return Tapestry.gradients(of: [f(leaves[0], leaves[1])], withRespectTo: leaves, createGraph: true)
                .reduce(Tensor(0.0, dtype: .float64)) { $0 + ($1! * $1!).sum() }
        }
        let leaves = [x.asLeaf(), w.asLeaf()]
        let found = Tapestry.gradients(of: [norm(leaves)], withRespectTo: leaves).map { $0! }
        for (i, point) in [x, w].enumerated() {
            let direction = Tensor(normal: point.shape, dtype: .float64), step = 1e-5
            func moved(_ by: Double) -> Double {
                var inputs = [x, w]
                inputs[i] = inputs[i] + direction * by
                return norm(inputs).item(Double.self)
            }
            let numeric = (moved(step) - moved(-step)) / (2 * step), exact = (found[i] * direction).sum().item(Double.self)
            #expect(abs(numeric - exact) < 1e-5 * max(1, abs(exact)))
        }
    }

    /// A NaN reaches the outputs and taps that read it, and no others.
    @Test func notANumber() {
        var x = Tensor(ones: [1, 2, 40, 70])
        x[0, 0, 0, 69] = Tensor(Float.nan)
        let w = Tensor(ones: [2, 1, 3, 3]).asLeaf(), leaf = x.asLeaf()
        let y = conv2d(leaf, w, padding: 1, groups: 2)
        #expect(y.isNaN.to(.int64).sum().item(Int.self) == 4)
        let found = Tapestry.gradients(of: [y.sum()], withRespectTo: [leaf, w]).map { $0! }
        #expect(!found[0].isNaN.any().item(Bool.self))
        // The first row is read by the taps of the upper two rows, the last column by those of the right two columns.
        #expect(found[1].isNaN.to(.int64).sum().item(Int.self) == 4)
    }

    @Test func threads() {
        let x = Tensor(normal: [4, 6, 30, 50]), w = Tensor(normal: [6, 1, 3, 3])
        let runs = [1, 2, 3].map { count in
            let before = Configuration.threadCount
            Configuration.threadCount = count
            defer { Configuration.threadCount = before }
            let leaves = [x.asLeaf(), w.asLeaf()], y = conv2d(leaves[0], leaves[1], padding: 1, groups: 6)
            return [y] + Tapestry.gradients(of: [(y * y).sum()], withRespectTo: leaves).map { $0! }
        }
        for run in runs[1...] { for (a, b) in zip(run, runs[0]) { #expect(a.isEqual(to: b)) } }
    }
}
