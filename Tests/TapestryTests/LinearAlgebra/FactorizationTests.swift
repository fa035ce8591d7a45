import Tapestry
import TestSupport
import Testing

/// Factors multiply back to what they are of, and are of their kind.
@Suite struct FactorizationTests {
    static let types: [DType] = [.float64, .float32, .complex128, .complex64]
    static let shapes: [[Int]] = [[30, 30], [40, 17], [17, 40], [3, 2, 5, 4], [2, 1, 7], [1, 1]]

    private func random(_ shape: [Int], _ type: DType) -> Tensor {
        let generator = RandomGenerator(seed: 3)
        func part() -> Tensor { Tensor(normal: shape, dtype: type.real, generator: generator) }
        return type.isComplex ? complex(real: part(), imaginary: part()) : part()
    }

    private func norm(_ x: Tensor) -> Double { LinearAlgebra.vectorNorm(x).item(Double.self) }

    /// ‖a - b‖ ≤ c n ‖b‖ in the Frobenius norm: c is 1e-13 in double and 1e-5 / n in single precision.
    private func expectClose(_ a: Tensor, _ b: Tensor, _ what: String) {
        let n = Double(a.shape.suffix(2).max() ?? 1)
        let bound = (a.dtype.real == .float64 ? 1e-13 * n : 1e-5) * Swift.max(norm(b), 1)
        let error = norm(a - b)
        #expect(a.shape == b.shape && error <= bound, "\(what) of \(a.dtype) \(a.shape): \(error) > \(bound)")
    }

    private func expectOrthonormal(_ q: Tensor, _ what: String) {
        let n = q.shape.last!
        expectClose(matmul(q.adjoint, q), Tensor(eye: n, dtype: q.dtype).expanded(to: Array(q.shape.dropLast(2)) + [n, n]), what)
    }

    @Test(arguments: types) func singularValues(_ type: DType) throws {
        for shape in Self.shapes {
            let a = random(shape, type)
            for full in [false, true] {
                let (u, s, vh) = try LinearAlgebra.svd(a, fullMatrices: full)
                let k = s.shape.last!
                let product = matmul(
                    u[TensorIndex.ellipsis, 0..<k] * s.unsqueezed(-2), vh[TensorIndex.ellipsis, 0..<k, TensorIndex.all])
                expectClose(product, a, "U Σ Vᴴ")
                expectOrthonormal(u, "Uᴴ U")
                expectOrthonormal(vh.adjoint, "Vᴴ V")
                let ordered = s.narrowed(axis: -1, start: 0, length: k - 1) .>= s.narrowed(axis: -1, start: 1, length: k - 1)
                #expect(ordered.all().item(Bool.self) && (s .>= 0).all().item(Bool.self))
                expectClose(try LinearAlgebra.svdvals(a), s, "Σ alone")
            }
        }
    }

    /// Eckart-Young: the squared distance is the sum of the squares left out.
    @Test(arguments: types) func truncation(_ type: DType) throws {
        let a = random([12, 9], type)
        let s = try LinearAlgebra.svdvals(a).scalars(Double.self)
        for rank in 0...9 {
            let error = norm(a - (try LinearAlgebra.lowRankApproximation(a, rank: rank)))
            let left = s[rank...].map { $0 * $0 }.reduce(0, +)
            #expect(abs(error * error - left) <= (type.real == .float64 ? 1e-11 : 1e-3), "rank \(rank)")
        }
        let low = matmul(random([50, 4], type), random([4, 40], type))
        let (u, values, v) = try LinearAlgebra.svdLowRank(low, rank: 4, generator: RandomGenerator(seed: 1))
        let bound = (type.real == .float64 ? 1e-12 : 1e-4) * norm(low)
        #expect(norm(matmul(u * values.unsqueezed(-2), v.adjoint) - low) <= bound)
    }

    @Test(arguments: types) func eigenvalues(_ type: DType) throws {
        for shape in [[20, 20], [3, 4, 4], [1, 1]] {
            let a = random(shape, type)
            let (w, v) = try LinearAlgebra.eig(a)
            expectClose(matmul(a.to(type.complex), v), v * w.unsqueezed(-2), "A V")
            expectClose(LinearAlgebra.vectorNorm(v, axes: [-2]), Tensor(onesLike: w.real), "|v|")
            let h = a + a.adjoint
            for upper in [false, true] {
                // The other triangle is not read.
                let half = upper ? h.triu() : h.tril()
                let (w, v) = try LinearAlgebra.eigh(half, upper: upper)
                expectClose(matmul(v * w.unsqueezed(-2), v.adjoint), h, "V Λ Vᴴ")
                expectOrthonormal(v, "Vᴴ V")
                expectClose(try LinearAlgebra.eigvalsh(half, upper: upper), w, "Λ alone")
            }
        }
    }

    @Test(arguments: types) func triangularFactors(_ type: DType) throws {
        for shape in Self.shapes {
            let a = random(shape, type)
            let (p, l, u) = LinearAlgebra.lu(a)
            expectClose(matmul(p, matmul(l, u)), a, "P L U")
            for mode in [LinearAlgebra.QRMode.reduced, .complete] {
                let (q, r) = LinearAlgebra.qr(a, mode: mode)
                expectClose(matmul(q, r), a, "Q R")
                expectOrthonormal(q, "Qᴴ Q")
                expectClose(r.triu(), r, "R")
            }
            let (packed, tau) = LinearAlgebra.householderQR(a)
            let k = a.shape.suffix(2).min()!
            let q = LinearAlgebra.householderProduct(packed[TensorIndex.ellipsis, 0..<k], tau: tau)
            expectClose(q, LinearAlgebra.qr(a).q, "Q from reflectors")
            if shape.suffix(2).first == shape.last {
                let gram = matmul(a, a.adjoint) + Tensor(eye: shape.last!, dtype: type)
                let factor = try LinearAlgebra.cholesky(gram)
                expectClose(matmul(factor, factor.adjoint), gram, "L Lᴴ")
                let upper = try LinearAlgebra.cholesky(gram, upper: true)
                expectClose(matmul(upper.adjoint, upper), gram, "Uᴴ U")
            }
        }
        // Without exchanges of rows.
        let a = random([6, 6], type) + Tensor(eye: 6, dtype: type) * 10
        let (_, l, u) = LinearAlgebra.lu(a, pivot: false)
        expectClose(matmul(l, u), a, "L U")
    }

    @Test(arguments: types) func solutions(_ type: DType) throws {
        let a = random([3, 8, 8], type) + Tensor(eye: 8, dtype: type) * 4
        let b = random([3, 8, 2], type), c = random([2, 8], type)
        expectClose(matmul(a, try LinearAlgebra.solve(a, b)), b, "A X")
        expectClose(matmul(try LinearAlgebra.solve(a, c, left: false), a), c.expanded(to: [3, 2, 8]), "X A")
        expectClose(matmul(try LinearAlgebra.inv(a), a), Tensor(eye: 8, dtype: type).expanded(to: [3, 8, 8]), "A⁻¹ A")
        let (lu, pivots) = try LinearAlgebra.luFactor(a)
        expectClose(matmul(a, LinearAlgebra.luSolve(lu, pivots: pivots, b)), b, "A X by factors")
        expectClose(matmul(a.adjoint, LinearAlgebra.luSolve(lu, pivots: pivots, b, adjoint: true)), b, "Aᴴ X by factors")
        expectClose(
            matmul(LinearAlgebra.luSolve(lu, pivots: pivots, c, left: false), a), c.expanded(to: [3, 2, 8]), "X A by factors")
        let gram = matmul(a, a.adjoint)
        let factor = try LinearAlgebra.cholesky(gram)
        expectClose(matmul(gram, LinearAlgebra.choleskySolve(factor, b)) * 0.01, b * 0.01, "by Cholesky factors")
        let tall = random([9, 4], type), rhs = random([9, 3], type)
        for driver in [LeastSquaresDriver.gels, .gelsy, .gelsd, .gelss] {
            let found = try LinearAlgebra.lstsq(tall, rhs, driver: driver)
            expectClose(matmul(tall.adjoint, matmul(tall, found.solution)), matmul(tall.adjoint, rhs), "normal equations")
        }
        // The least of many solutions.
        let wide = random([4, 9], type)
        expectClose(
            try LinearAlgebra.lstsq(wide, random([4, 3], type)).solution,
            matmul(try LinearAlgebra.pinv(wide), random([4, 3], type)), "least solution")
        let pinv = try LinearAlgebra.pinv(tall)
        expectClose(matmul(tall, matmul(pinv, tall)), tall, "A A⁺ A")
    }

    @Test func threadsDoNotMatter() throws {
        let before = Configuration.threadCount
        defer { Configuration.threadCount = before }
        let a = random([40, 12, 9], .float64)
        Configuration.threadCount = 1
        let one = try LinearAlgebra.svd(a)
        Configuration.threadCount = 4
        let four = try LinearAlgebra.svd(a)
        #expect(one.u.isEqual(to: four.u) && one.s.isEqual(to: four.s) && one.vh.isEqual(to: four.vh))
    }
}
