import CCUDA
import CUDAEmulator
import ConformanceSuite
import Tapestry
import Testing

@testable import CUDABackend
@testable import CoreTensor

extension CUDATests {
    /// cuBLASLt is taken where it is faster, and computes what our kernels compute. A library of the emulator stands in for it.
    @Suite struct Products {
        private func backend(_ milliseconds: Int) throws -> CUDABackend {
            _ = Emulated.device
            var blas = tk_cublaslt()
            _ = tk_emulator_load_blas(&blas, Int32(milliseconds))
            let table = blas
            return CUDABackend(try CUDAContext(CUDADriver(Emulated.table(), products: { table }), index: 0))
        }
        private func calls() -> Int {
            var blas = tk_cublaslt()
            return Int(tk_emulator_load_blas(&blas, 0))
        }
        private func draw(_ shape: [Int], _ type: DType) -> RawTensor {
            Tensor(uniform: shape, low: -1, high: 1, generator: RandomGenerator(seed: 4)).to(type).emulated.raw
        }

        /// A product by a backend of its own, and by the one without a library.
        private func agree(
            _ backend: CUDABackend, _ a: RawTensor, _ b: RawTensor, _ plan: MatMulPlan, bias: RawTensor? = nil,
            out type: DType? = nil
        ) -> Bool {
            let shape = [plan.batch, plan.m, plan.n], start = draw(shape, type ?? a.dtype)
            let actual = start.denseCopy(), expected = start.denseCopy()
            backend.matmul(a, b, actual, plan, bias: bias)
            try! CUDA.backend(0).matmul(a, b, expected, plan, bias: bias)
            let tolerance = a.dtype.byteCount == 2 ? Tolerance(relative: 2e-2, absolute: 2e-2) : .standard(a.dtype)
            return mismatch(Tensor(raw: actual).onCPU, Tensor(raw: expected).onCPU, tolerance) == nil
        }

        @Test func fasterLibraryIsUsed() throws {
            let backend = try backend(-1000)
            for (type, out) in [
                (DType.float32, DType.float32), (.float64, .float64), (.bfloat16, .bfloat16), (.bfloat16, .float32),
                (.float16, .float16),
            ] {
                for (turnA, turnB) in [(false, false), (false, true), (true, false), (true, true)] {
                    var plan = MatMulPlan(
                        transposeA: turnA, transposeB: turnB, m: 100, n: 70, k: 90, lda: turnA ? 100 : 90, ldb: turnB ? 90 : 70)
                    let a = draw([turnA ? 90 : 100, turnA ? 100 : 90], type), b = draw([turnB ? 70 : 90, turnB ? 90 : 70], type)
                    #expect(agree(backend, a, b, plan, out: out), "\(type) \(turnA) \(turnB)")
                    #expect(agree(backend, a, b, plan, bias: draw([70], out), out: out), "with a bias")
                    plan.accumulate = true
                    #expect(agree(backend, a, b, plan, out: out), "added")
                }
            }
            var plan = MatMulPlan(m: 64, n: 64, k: 64, lda: 64, ldb: 64, strideA: 4096, strideC: 4096)
            plan.batch = 3
            #expect(agree(backend, draw([3, 64, 64], .float32), draw([64, 64], .float32), plan), "a batch")
            let report = backend.library.choices
            #expect(report.count == 61 && report.contains { $0.usesCUBLASLt }, "\(report)")
            #expect(report.contains { $0.description.hasPrefix("bfloat16 [100, 90] · [70, 90]ᵀ: ") }, "\(report)")
            #expect(report.contains { $0.product == "3 × float32 [64, 64] · [64, 64]" })
        }

        @Test func slowerLibraryIsNotUsed() throws {
            let backend = try backend(100_000)  // milliseconds, that no own kernel takes
            let a = draw([8, 16], .float32), b = draw([16, 8], .float32), plan = MatMulPlan(m: 8, n: 8, k: 16, lda: 16, ldb: 8)
            for _ in 0..<3 { #expect(agree(backend, a, b, plan)) }
            #expect(backend.library.choices.map(\.usesCUBLASLt) == [false])
            #expect(calls() == 4, "to measure it, and not again")
        }

        @Test func itCanBeSwitchedOff() throws {
            let backend = try backend(0)
            CUDA.usesCUBLASLt = false
            defer { CUDA.usesCUBLASLt = true }
            let plan = MatMulPlan(m: 8, n: 8, k: 16, lda: 16, ldb: 8)
            #expect(agree(backend, draw([8, 16], .float32), draw([16, 8], .float32), plan))
            #expect(backend.library.choices.isEmpty && calls() == 0)
            #expect(CUDA.productReport(Emulated.device).isEmpty, "no library, no report")
        }
    }
}
