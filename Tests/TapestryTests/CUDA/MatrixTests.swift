import CUDAEmulator
import ConformanceSuite
import Tapestry
import Testing

@testable import CUDABackend

extension CUDATests {
    /// Decompositions, solvers and products with weights in few bits at sizes beyond the catalogue's, against the CPU or by what they promise.
    @Suite struct Matrices {
        private typealias LA = LinearAlgebra
        private let generator = RandomGenerator(seed: 44)
        private func draw(_ shape: [Int], _ type: DType = .float64) -> Tensor {
            let x = Tensor(uniform: shape, low: -1, high: 1, dtype: .float64, generator: generator)
            return type.isComplex ? complex(real: x, imaginary: draw(shape)).to(type) : x.to(type)
        }
        private func tolerance(_ type: DType) -> Tolerance {
            type.real == .float32 ? Tolerance(relative: 2e-4, absolute: 2e-4) : Tolerance(relative: 1e-8, absolute: 1e-8)
        }
        /// Whether two tensors of the device agree.
        private func agree(_ a: Tensor, _ b: Tensor, _ what: String) {
            #expect(a.device == Emulated.device && b.device == Emulated.device)
            let wrong = mismatch(a.onCPU, b.onCPU, tolerance(a.dtype))
            #expect(wrong == nil, "\(what): \(wrong ?? "")")
        }
        private func identity(_ n: Int, like x: Tensor) -> Tensor { Tensor(eye: n, dtype: x.dtype, device: x.device) }

        @Test(arguments: [DType.float32, .float64, .complex64, .complex128]) func factors(_ type: DType) throws {
            for n in [1, 5, 18, 40] {
                let a = (draw([2, n, n], type) + Tensor(eye: n, dtype: type) * 3).emulated, b = draw([2, n, 3], type).emulated
                agree(matmul(a, try LA.solve(a, b)), b, "solutions of \(n) \(type)")
                agree(matmul(a, try LA.inv(a)), identity(n, like: a).expanded(to: [2, n, n]), "inverses of \(n) \(type)")
                let definite = matmul(a, a.adjoint) + identity(n, like: a)
                for upper in [false, true] {
                    let l = try LA.cholesky(definite, upper: upper)
                    agree(upper ? matmul(l.adjoint, l) : matmul(l, l.adjoint), definite, "Cholesky's factors of \(n) \(type)")
                    agree(matmul(definite, LA.choleskySolve(l, b, upper: upper)), b, "Cholesky's solutions of \(n) \(type)")
                }
            }
            let not = (draw([3, 3], type) * 0.1 - Tensor(eye: 3, dtype: type)).emulated
            #expect(throws: LinearAlgebraError.self) { try LA.cholesky(matmul(not, not.adjoint) * -1) }
            #expect(throws: LinearAlgebraError.self) { try LA.inv(Tensor(zeros: [2, 2], dtype: type, device: Emulated.device)) }
        }

        @Test(arguments: [DType.float32, .complex128]) func orthogonal(_ type: DType) throws {
            for (m, n) in [(1, 1), (7, 4), (4, 7), (30, 20), (20, 33)] {
                for lowers in [false, true] {
                    var x = draw([2, m, n], type)
                    if lowers { x = matmul(x.narrowed(axis: 2, start: 0, length: 1), draw([2, 1, n], type)) }
                    let a = x.emulated, what = "[\(m), \(n)] of \(type)\(lowers ? ", of rank 1" : "")"
                    let (q, r) = LA.qr(a, mode: .complete)
                    agree(matmul(q, r), a, "QR of \(what)")
                    agree(matmul(q.adjoint, q), identity(m, like: a).expanded(to: [2, m, m]), "Q of \(what)")
                    for full in [false, true] {
                        let (u, s, vh) = try LA.svd(a, fullMatrices: full)
                        let k = min(m, n)
                        let core = u.narrowed(axis: 2, start: 0, length: k) * s.unsqueezed(-2).to(type)
                        agree(matmul(core, vh.narrowed(axis: 1, start: 0, length: k)), a, "the singular values of \(what)")
                        agree(
                            matmul(u.adjoint, u), identity(u.shape[2], like: a).expanded(to: [2, u.shape[2], u.shape[2]]),
                            "U of \(what)")
                        agree(
                            matmul(vh, vh.adjoint), identity(vh.shape[1], like: a).expanded(to: [2, vh.shape[1], vh.shape[1]]),
                            "V of \(what)")
                        let cpu = try LA.svdvals(x)
                        let wrong = mismatch(s.onCPU, cpu, tolerance(type))
                        #expect(wrong == nil, "singular values of \(what): \(wrong ?? "")")
                    }
                }
            }
        }

        @Test(arguments: [DType.float32, .float64, .complex64, .complex128]) func eigenvalues(_ type: DType) throws {
            for n in [1, 2, 9, 24] {
                let x = draw([2, n, n], type), a = x.emulated, what = "\(n) \(type)"
                let h = a + a.adjoint
                let (w, v) = try LA.eigh(h)
                agree(matmul(h, v), v * w.unsqueezed(-2).to(type), "Hermitian \(what)")
                agree(matmul(v.adjoint, v), identity(n, like: a).expanded(to: [2, n, n]), "vectors of \(what)")
                let wrong = mismatch(w.onCPU, try LA.eigvalsh(x + x.adjoint), tolerance(type))
                #expect(wrong == nil, "eigenvalues of \(what): \(wrong ?? "")")
                let (z, u) = try LA.eig(a)
                agree(matmul(a.to(z.dtype), u), u * z.unsqueezed(-2), "the values and vectors of \(what)")
            }
            // A matrix without enough vectors, and zeros.
            for x in [Tensor([[2.0, 1], [0, 2]], dtype: type), Tensor(zeros: [3, 3], dtype: type)] {
                let (z, u) = try LA.eig(x.emulated)
                agree(matmul(x.emulated.to(z.dtype), u), u * z.unsqueezed(-2), "a defective matrix of \(type)")
            }
        }

        @Test(arguments: [DType.float32, .complex128]) func leastSquares(_ type: DType) throws {
            for (m, n) in [(9, 4), (4, 9), (6, 6)] {
                let a = draw([2, m, n], type), b = draw([2, m, 2], type)
                for driver in [LeastSquaresDriver.gels, .gelsy, .gelsd, .gelss] {
                    Emulated.same(
                        { try! LA.lstsq($0[0], $0[1], driver: driver).solution }, [a, b], tolerance(type),
                        "\(driver) [\(m), \(n)]")
                }
                let low = matmul(a.narrowed(axis: 2, start: 0, length: 2), draw([2, 2, n], type))
                for driver in [LeastSquaresDriver.gelsy, .gelsd] {
                    Emulated.same(
                        { try! LA.lstsq($0[0], $0[1], driver: driver).solution }, [low, b], tolerance(type),
                        "\(driver) of rank 2 [\(m), \(n)]")
                    Emulated.same(
                        { try! LA.lstsq($0[0], $0[1], driver: driver).rank }, [low, b], .exact, "the rank of [\(m), \(n)]")
                }
            }
        }

        @Test(arguments: [DType.float32, .bfloat16, .float16]) func weightsInFewBits(_ type: DType) {
            let loose = type == .float32 ? Tolerance(relative: 2e-2, absolute: 3e-2) : Tolerance(relative: 3e-2, absolute: 6e-2)
            let formats: [QuantizationFormat] = [
                .int8Dynamic, .int8, .int4(groupSize: 8), .int4(groupSize: 32), .int4(groupSize: 16, hasOffsets: true),
            ]
            for (rows, outputs, inputs) in [(1, 5, 9), (3, 33, 70), (9, 64, 32)] {
                let w = draw([outputs, inputs], .float32), x = draw([rows, inputs], type), bias = draw([outputs], type)
                for format in formats {
                    let weight = QuantizedWeight(w, format), there = QuantizedWeight(w.emulated, format)
                    let what = "\(format) \(rows) × \(outputs) × \(inputs) of \(type)"
                    #expect(mismatch(there.dequantized.onCPU, weight.dequantized, .exact) == nil, "the weight of \(what)")
                    // Against the product of what the weight stands for; the CPU rounds the input to bfloat16 where that is fast.
                    let plain = linear(x.to(.float32), weight.dequantized, bias.to(.float32)).to(type)
                    let y = there.linear(x.emulated, bias: bias.emulated)
                    #expect(y.device == Emulated.device)
                    let wrong = mismatch(y.onCPU, weight.linear(x, bias: bias), loose) ?? mismatch(y.onCPU, plain, loose)
                    #expect(wrong == nil, "\(what): \(wrong ?? "")")
                }
            }
        }
    }
}
