import CUDAEmulator
import ConformanceSuite
import Tapestry
import Testing

@testable import CUDABackend
@testable import CoreTensor

extension CUDATests {
    /// Fused functions on the emulated device: one launch, and what the CPU gives.
    @Suite struct FusedPrograms {
        private let device = Emulated.device
        private func draw(_ shapes: [Shape], _ type: DType, seed: Int = 1) -> [Tensor] {
            let generator = RandomGenerator(seed: UInt64(seed))
            return shapes.map { Tensor(normal: $0, generator: generator).to(type) }
        }
        /// The value and the gradients of all inputs that are floats.
        private func run(_ f: ([Tensor]) -> Tensor, _ inputs: [Tensor]) -> [Tensor] {
            let leaves = inputs.map { $0.dtype.isFloatingPoint ? $0.asLeaf() : $0 }, y = f(leaves)
            let g = cos(Tensor(arange: y.count, dtype: .float64)).reshaped(y.shape).to(y.dtype).to(device: y.device)
            return [y.detached()]
                + gradients(of: [y], withRespectTo: leaves.filter(\.requiresGrad), gradients: [g]).compactMap { $0 }
        }
        private func same(_ f: ([Tensor]) -> Tensor, _ inputs: [Tensor], _ tolerance: Double, _ what: String) {
            let expected = run(f, inputs), actual = run(f, inputs.map(\.emulated))
            #expect(actual.count == expected.count)
            for (k, (a, b)) in zip(actual, expected).enumerated() {
                #expect(a.device == device || a.count == 0, "\(what) left the device")
                #expect(a.dtype == b.dtype && a.shape == b.shape)
                let scale = b.count == 0 ? 1 : max(1, abs(b.to(.float64)).max().item(Double.self))
                let wrong = mismatch(
                    a.onCPU.to(.float64), b.to(.float64), Tolerance(relative: tolerance, absolute: tolerance * scale))
                #expect(wrong == nil, "\(what), \(k): \(wrong ?? "")")
            }
        }

        static let shapes: [[Shape]] = [
            [[], [], []], [[1], [7], [7]], [[5, 3], [3], [5, 1]], [[9, 132], [132], [9, 1]], [[2, 3, 4, 17], [3, 1, 1], [17]],
            [[70, 5], [5], []], [[3, 1], [1, 4], [2, 1, 1]], [[0, 4], [4], [0, 1]], [[4, 5, 8], [4, 1, 8], [1, 5, 1]],
            [[1003], [1003], [1]], [[2, 3, 2, 3, 2, 4], [3, 1, 3, 1, 4], [2, 1, 2, 1, 2, 1]],
        ]

        @Test(arguments: 0..<22) func randomPrograms(_ seed: Int) {
            let shapes = Self.shapes[seed % Self.shapes.count]
            let program = FusedTests.RandomProgram(seed: UInt64(seed + 1), inputs: 3, length: 4 + seed % 9)
            let f = fused(list: { program($0) })
            Emulated.ordered(seed % 3) {
                for (type, tolerance) in [(DType.float32, 3e-5), (.float64, 1e-12), (.bfloat16, 0.01), (.float16, 0.002)] {
                    same({ f($0) }, draw(shapes, type, seed: seed), tolerance, "\(type) \(shapes)")
                }
            }
        }

        /// Views with strides of their own, among them reversed ones, and mixed types.
        @Test func stridesAndTypes() {
            let f = fused { x, w, m in which(m, gelu(x * w), x) * 2 }
            let base = draw([[12, 14], [28]], .float32), x = base[0].transposed(0, 1), mask = x .> 0
            let w = base[1].reshaped([14, 2])[0..., 0].unsqueezed(-1)
            for views in [[x, w, mask], [x.flipped(0), w, mask], [x.to(.float64), w, mask], [x.to(.bfloat16), w, mask[0]]] {
                same({ f($0[0], $0[1], $0[2]) }, views, 1e-5, "\(views.map(\.dtype))")
            }
        }

        /// Every function that a program may hold, special ones among them.
        @Test func functions() {
            let unary: [@Sendable (Tensor) -> Tensor] = [
                { -$0 }, { abs($0) }, { sign($0) }, { exp($0) }, { expm1($0) }, { log1p($0) }, { rsqrt($0) },
                { sin($0) }, { atan($0) }, { asinh($0) }, { erfc($0) }, { floor($0) }, { round($0) }, { lgamma($0) },
                { digamma($0) }, { erfinv($0 * 0.3) }, { $0.clamped(min: 0.5, max: 1.5) }, { $0.to(.bfloat16).to(.float32) },
                { which($0.isNaN .| ($0 .> 1), $0, $0 * 3) }, { pow($0, 1.7) }, { atan2($0, $0 + 1) },
            ]
            let x = Tensor(uniform: [30], low: 0.2, high: 2, generator: RandomGenerator(seed: 3))
            for (number, f) in unary.enumerated() {
                let whole = fused { f($0 * 1.25) + 1 }
                for type in [DType.float32, .float64] where type == .float32 || number != 17 {
                    same({ whole($0[0]) }, [x.to(type)], type == .float32 ? 1e-5 : 1e-12, "function \(number) of \(type)")
                }
            }
        }

        @Test func oneLaunch() {
            let f = fused { x, w, b in silu(gelu(x * w + b) * 0.5 + x) },
                x = draw([[8, 12], [12], [8, 1]], .float32).map(\.emulated)
            _ = f(x[0], x[1], x[2])
            let before = tk_emulator_get_statistics().launches
            _ = f(x[0], x[1], x[2])
            #expect(tk_emulator_get_statistics().launches == before + 1)
        }

        /// More than a kernel takes runs step by step.
        @Test func longPrograms() {
            let f = fused { x in (0..<150).reduce(x) { y, k in tanh(y + Double(k) / 100) } }
            let many = fused(list: { $0.reduce($0[0]) { $0 + $1 } })
            same({ f($0[0]) }, draw([[5, 4]], .float32), 1e-5, "150 steps")
            same({ many($0) }, draw(Array(repeating: [3, 4], count: 20), .float32), 1e-5, "20 inputs")
        }

        @Test func theFirstElementLeftOut() {
            let f = fused { exp($0) * 2 }, x = draw([[40]], .float32)[0], there = x.emulated, expected = f(x)
            Emulated.faulty("off by one") { #expect(mismatch(f(there).onCPU, expected) != nil) }
            #expect(mismatch(f(there).onCPU, expected) == nil)
        }
    }
}
