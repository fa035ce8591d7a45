import CCUDA
import CUDAEmulator
import ConformanceSuite
import Tapestry
import Testing

@testable import CUDABackend

extension CUDATests {
    /// Kernels at sizes around their tiles and vectors, against the CPU, in three orders of threads.
    @Suite struct Kernels {
        private let generator = RandomGenerator(seed: 21)
        private func draw(_ shape: [Int], _ type: DType = .float32) -> Tensor {
            Tensor(uniform: shape, low: -2, high: 2, dtype: .float64, generator: generator).to(type)
        }
        private func same(_ f: ([Tensor]) -> Tensor, _ inputs: [Tensor], _ tolerance: Tolerance? = nil, _ what: String) {
            Emulated.same(f, inputs, tolerance, what)
        }

        @Test(arguments: DType.allCases) func thereAndBack(_ type: DType) {
            let x = Tensor((0..<300).map { $0 % 11 }, shape: [20, 15]).to(type)
            let there = x.emulated
            #expect(there.device == Emulated.device && there.dtype == type)
            #expect(there.onCPU.to(.float64).isEqual(to: x.to(.float64)))
            #expect(there.transposed().contiguous().onCPU.to(.float64).isEqual(to: x.transposed().contiguous().to(.float64)))
            #expect(
                there[TensorIndex.every(3), TensorIndex.every(2, from: 1)].contiguous().onCPU.to(.float64)
                    .isEqual(to: x[TensorIndex.every(3), TensorIndex.every(2, from: 1)].contiguous().to(.float64)))
        }

        @Test(arguments: DType.allCases) func casts(_ from: DType) {
            var values: [Double] = [
                0, 1, -1, 2.5, -3.75, 100, 127, -128, 255, 300, 448, 1e5, -1e5, 0.1, 1.0 / 3, 6e-8, 65_520, 3e38, 1e300,
            ]
            if from.isFloatingPoint { values += [.infinity, -.infinity, .nan, 2_147_483_648, 9.3e18, 5e-324, 1 + 0x1p-24] }
            let source = Tensor(values, shape: [values.count], dtype: .float64).to(from)
            for to in DType.allCases {
                let expected = source.to(to), actual = source.emulated.to(to).onCPU
                let same = expected.withUnsafeBytes { a in actual.withUnsafeBytes { b in a.elementsEqual(b) } }
                let a = expected.to(.float64).scalars(Double.self), b = actual.to(.float64).scalars(Double.self)
                #expect(same || zip(a, b).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) }, "\(from) to \(to): \(a) \(b)")
            }
        }

        @Test(arguments: Emulated.orders) func transposes(_ order: Int) {
            Emulated.ordered(order) {
                for shape in [[9, 8], [32, 33], [65, 31], [3, 40, 17]] {
                    same({ $0[0].transposed().contiguous() }, [draw(shape)], .exact, "transposing \(shape)")
                }
                same({ $0[0].permuted([2, 0, 3, 1]).contiguous() }, [draw([3, 4, 5, 6])], .exact, "permuting")
            }
        }

        @Test(arguments: [DType.float32, .float64, .float16, .bfloat16, .int32, .int64, .int8, .uint8])
        func reductions(_ type: DType) {
            let tolerance: Tolerance? = type == .float16 ? Tolerance(relative: 2e-3, absolute: 2e-2) : nil
            for (shape, axis) in [
                ([1], 0), ([7], 0), ([1000], 0), ([3, 5, 7], 1), ([2, 300, 33], 1), ([40_000], 0), ([5, 9000], 1), ([70, 40], 0),
            ] {
                let x = type.isInteger ? (draw(shape, .float64) * 3).to(type) : draw(shape, type)
                same({ $0[0].sum([axis]) }, [x], type.isInteger ? .exact : tolerance, "the sum of \(type) \(shape)")
                same({ $0[0].max([axis]) }, [x], .exact, "the maximum of \(type) \(shape)")
                same({ $0[0].argmax(axis: axis) }, [x], .exact, "the place of the maximum of \(type) \(shape)")
            }
        }

        @Test(arguments: Emulated.orders) func rows(_ order: Int) {
            Emulated.ordered(order) {
                for columns in [1, 31, 32, 33, 200, 1025, 5000] {
                    let x = draw([3, columns]) * 4
                    same({ softmax($0[0], axis: -1) }, [x], nil, "softmax of \(columns)")
                    same({ logSoftmax($0[0], axis: -1) }, [x], nil, "log-softmax of \(columns)")
                    same(
                        { layerNorm($0[0], weight: $0[1], bias: $0[2]) },
                        [x, draw([columns]), draw([columns])], columns == 1 ? Tolerance(relative: 1e-3, absolute: 1e-3) : nil,
                        "layer norm of \(columns)")
                }
                let holes = Tensor(
                    [-Float.infinity, 1, -.infinity, 2, .infinity, 0, -.infinity, -.infinity, -.infinity], shape: [3, 3])
                same({ softmax($0[0], axis: -1) }, [holes], nil, "softmax with infinities")
            }
        }

        @Test(arguments: [DType.float32, .float64, .int64, .bfloat16]) func products(_ type: DType) {
            for (m, n, k) in [(1, 1, 1), (3, 5, 7), (64, 64, 16), (65, 67, 33), (1, 130, 20), (130, 1, 20), (5, 6, 0)] {
                let a = type == .int64 ? (draw([m, k], .float64) * 5).to(type) : draw([m, k], type)
                let b = type == .int64 ? (draw([k, n], .float64) * 5).to(type) : draw([k, n], type)
                same({ $0[0].matmul($0[1]) }, [a, b], nil, "\(type) \(m) × \(k) × \(n)")
                same(
                    { $0[0].transposed().contiguous().transposed().matmul($0[1].transposed().contiguous().transposed()) },
                    [a, b], nil,
                    "transposed \(type) \(m) × \(k) × \(n)")
            }
            if type != .int64 {
                same({ $0[0].matmul($0[1]) }, [draw([4, 9, 8], type), draw([4, 8, 7], type)], nil, "a batch of \(type)")
                same(
                    { linear($0[0], $0[1], $0[2]) }, [draw([5, 8], type), draw([6, 8], type), draw([6], type)], nil,
                    "linear of \(type)")
            }
        }

        /// Tensor cores, with sizes around their tiles; and what they do not take.
        @Test(arguments: Emulated.orders) func tensorCores(_ order: Int) {
            Emulated.ordered(order) {
                for (m, n, k) in [(8, 8, 8), (136, 72, 40), (130, 136, 72), (40, 16, 33)] {
                    let before = tk_emulator_get_statistics().launches
                    let a = draw([m, k], .bfloat16), b = draw([k, n], .bfloat16),
                        loose = Tolerance(relative: 2e-2, absolute: 3e-2)
                    same({ $0[0].matmul($0[1]) }, [a, b], loose, "\(m) × \(k) × \(n)")
                    let left = { (x: Tensor) in x.transposed().contiguous().transposed() }
                    same({ left($0[0]).matmul($0[1]) }, [a, b], loose, "turned left, \(m) × \(k) × \(n)")
                    same({ $0[0].matmul(left($0[1])) }, [a, b], loose, "turned right, \(m) × \(k) × \(n)")
                    same({ left($0[0]).matmul(left($0[1])) }, [a, b], loose, "turned both, \(m) × \(k) × \(n)")
                    same(
                        { linear($0[0], $0[1], $0[2]) }, [a, draw([n, k], .bfloat16), draw([n], .bfloat16)], loose,
                        "linear, \(m) × \(k) × \(n)")
                    #expect(tk_emulator_get_statistics().launches > before)
                }
            }
        }

        /// The same stream as the CPU's, to the bit.
        @Test(arguments: [DType.float32, .float64, .float16, .bfloat16]) func randomNumbers(_ type: DType) {
            func bits(_ x: Tensor) -> [UInt8] { x.onCPU.withUnsafeBytes { Array($0) } }
            for n in [1, 2, 3, 5, 1023] {
                func both(_ draw: (Device, RandomGenerator) -> Tensor) {
                    let cpu = draw(.cpu, RandomGenerator(seed: 99)), cuda = draw(Emulated.device, RandomGenerator(seed: 99))
                    #expect(cuda.device == Emulated.device && bits(cpu) == bits(cuda), "\(type) × \(n)")
                }
                both { Tensor(uniform: [n], low: -3, high: 2, dtype: type, device: $0, generator: $1) }
                both { Tensor(normal: [n], mean: 1, standardDeviation: 2, dtype: type, device: $0, generator: $1) }
                both { Tensor(integers: -5..<1000, shape: [n], device: $0, generator: $1) }
            }
        }

        /// A model is trained on the device and on the CPU, and ends at the same weights.
        @Test func training() {
            func trained(_ device: Device) -> [Float] {
                let generator = RandomGenerator(seed: 5)
                let x = Tensor(uniform: [12, 6], low: -1, high: 1, generator: generator).to(device)
                let labels = Tensor(integers: 0..<3, shape: [12], generator: generator).to(device)
                var w1 = Tensor(uniform: [8, 6], low: -0.5, high: 0.5, generator: generator).to(device).asLeaf()
                var w2 = Tensor(uniform: [3, 8], low: -0.5, high: 0.5, generator: generator).to(device).asLeaf()
                let p1 = Parameter(w1), p2 = Parameter(w2)
                let optimizer = AdamW([p1, p2], learningRate: 0.05, weightDecay: 0.01)
                for _ in 0..<3 {
                    let h = gelu(linear(x, p1.value))
                    let loss = crossEntropy(linear(h, p2.value), labels)
                    optimizer.zeroGrad()
                    loss.backward()
                    optimizer.step()
                }
                w1 = p1.value
                w2 = p2.value
                return w1.scalars(Float.self) + w2.scalars(Float.self)
            }
            let a = trained(.cpu), b = trained(Emulated.device)
            #expect(zip(a, b).allSatisfy { Swift.abs($0 - $1) < 1e-5 })
        }
    }
}
