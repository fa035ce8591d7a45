import Tapestry
import TestSupport
import Testing

/// What cannot be done is said, and what lies at the edges is right.
@Suite struct LinearAlgebraTests {
    private let nan = Tensor(repeating: Double.nan, shape: [2, 2], dtype: .float64)
    /// The second of three matrices is singular.
    private let batch = stack([Tensor(eye: 2), Tensor([[1.0, 2], [2, 4]]), Tensor(eye: 2)])

    private func error(_ body: () throws -> Void) -> LinearAlgebraError? {
        do { try body() } catch { return error as? LinearAlgebraError }
        return nil
    }

    @Test func singularMatricesThrow() throws {
        for (name, body) in [
            ("inv", { _ = try LinearAlgebra.inv($0) }), ("solve", { _ = try LinearAlgebra.solve($0, Tensor([1.0, 2])) }),
            ("luFactor", { _ = try LinearAlgebra.luFactor($0) }),
        ] as [(String, (Tensor) throws -> Void)] {
            let found = error { try body(batch) }
            #expect(found?.reason == .singular(row: 1) && found?.batchIndex == [1] && found?.operation == name)
        }
        #expect(LinearAlgebra.invWithInfo(batch).info.scalars(Int.self) == [0, 2, 0])
        #expect(LinearAlgebra.luFactorWithInfo(batch).info.dtype == .int32)
        #expect(
            "\(error { _ = try LinearAlgebra.inv(batch) }!)"
                == "inv: matrix [1] of the batch is singular: the pivot in row 1 is 0")
    }

    @Test func indefiniteMatricesThrow() {
        let found = error { _ = try LinearAlgebra.cholesky(Tensor([[1.0, 2], [2, 1]])) }
        #expect(found?.reason == .notPositiveDefinite(order: 2) && found?.batchIndex == [])
        #expect(LinearAlgebra.choleskyWithInfo(Tensor([[1.0, 2], [2, 1]])).info.item(Int.self) == 2)
    }

    @Test func numbersThatAreNoneThrow() {
        for body in [
            { _ = try LinearAlgebra.svd($0) }, { _ = try LinearAlgebra.svdvals($0) }, { _ = try LinearAlgebra.eigh($0) },
            { _ = try LinearAlgebra.eig($0) }, { _ = try LinearAlgebra.lstsq($0, $0) }, { _ = try LinearAlgebra.pinv($0) },
            { _ = try LinearAlgebra.matrixNorm($0, 2) }, { _ = try LinearAlgebra.cond($0) },
        ] as [(Tensor) throws -> Void] {
            #expect(error { try body(nan) }?.reason == .notFinite)
            #expect(error { try body(nan.maskedFill(nan.isNaN, Double.infinity)) }?.reason == .notFinite)
        }
        #expect(LinearAlgebra.matrixExp(nan).isNaN.all().item(Bool.self))
        // LAPACK's test is for an exact zero, which no rounding takes from a column of zeros.
        #expect(
            error { _ = try LinearAlgebra.lstsq(Tensor([[1.0, 0], [1, 0], [1, 0]]), Tensor(ones: [3]), driver: .gels) }?.reason
                == .rankDeficient)
    }

    @Test func emptyMatrices() throws {
        let none = Tensor(zeros: [0, 0]), flat = Tensor(zeros: [0, 3]), many = Tensor(zeros: [0, 2, 2])
        #expect(LinearAlgebra.det(none).item(Double.self) == 1)
        #expect(LinearAlgebra.slogdet(none).logAbsDet.item(Double.self) == 0)
        #expect(try LinearAlgebra.inv(many).shape == [0, 2, 2])
        let (u, s, vh) = try LinearAlgebra.svd(flat)
        #expect(u.shape == [0, 0] && s.shape == [0] && vh.isEqual(to: Tensor(eye: 3)))
        #expect(LinearAlgebra.qr(flat.T, mode: .complete).q.isEqual(to: Tensor(eye: 3)))
        #expect(try LinearAlgebra.pinv(flat).shape == [3, 0])
        #expect(try LinearAlgebra.matrixRank(flat).item(Int.self) == 0)
        #expect(try LinearAlgebra.eig(none).eigenvalues.shape == [0])
        #expect(try LinearAlgebra.eigh(many).eigenvectors.shape == [0, 2, 2])
        #expect(try LinearAlgebra.solve(none, Tensor(zeros: [0, 4])).shape == [0, 4])
        #expect(try LinearAlgebra.lstsq(flat, Tensor(zeros: [0, 2])).solution.isEqual(to: Tensor(zeros: [3, 2])))
        #expect(LinearAlgebra.matrixExp(many).shape == [0, 2, 2])
        #expect(try LinearAlgebra.cond(none).item(Double.self) == 0)
        #expect(LinearAlgebra.lu(flat).u.shape == [0, 3])
    }

    /// The transposed cofactors, where there is no inverse: of one matrix, and of one beside regular ones.
    @Test func determinantOfSingularMatrices() {
        let a = Tensor([[0.0, 2, 1], [0, 1, 3], [0, 4, 5]], dtype: .float64)
        let cofactors = Tensor([[-7.0, 0, 0], [-6, 0, 0], [5, 0, 0]], dtype: .float64)
        for first in [true, false] {
            let x = (first ? a : stack([a, Tensor(eye: 3, dtype: .float64)])).asLeaf()
            let g = gradients(of: [LinearAlgebra.det(x).sum()], withRespectTo: [x], createGraph: true)[0]!
            #expect((first ? g : g[0]).isClose(to: cofactors, rtol: 1e-12, atol: 1e-12))
            if !first { #expect(g[1].isClose(to: Tensor(eye: 3, dtype: .float64), atol: 1e-12)) }
        }
    }

    @Test func ranksAndConditions() throws {
        let a = Tensor([[1.0, 0, 0], [0, 1e-3, 0], [0, 0, 0]], dtype: .float64)
        #expect(try LinearAlgebra.matrixRank(a).item(Int.self) == 2)
        #expect(try LinearAlgebra.matrixRank(a, atol: 1e-2).item(Int.self) == 1)
        #expect(try LinearAlgebra.matrixRank(a, rtol: 1e-2, hermitian: true).item(Int.self) == 1)
        #expect(try LinearAlgebra.cond(a).item(Double.self) == .infinity)
        for order: LinearAlgebra.NormOrder in [1, .frobenius, .nuclear, .p(.infinity)] {
            #expect(try LinearAlgebra.cond(a, order).item(Double.self) == .infinity)
        }
        #expect(abs(try LinearAlgebra.spectralRadius(Tensor([[0.0, -2], [2, 0]])).item(Double.self) - 2) < 1e-6)
    }

    /// exp of a nilpotent, a turning and a large matrix.
    @Test func exponentials() {
        let nilpotent = Tensor([[0.0, 1, 2], [0, 0, 3], [0, 0, 0]], dtype: .float64)
        #expect(
            LinearAlgebra.matrixExp(nilpotent).isClose(
                to: Tensor([[1, 1, 3.5], [0, 1, 3], [0, 0, 1]], dtype: .float64), rtol: 1e-14))
        let turn = LinearAlgebra.matrixExp(Tensor([[0.0, -1], [1, 0]], dtype: .float64) * 100)
        let (c, s) = (
            cos(Tensor(100.0, dtype: .float64)).item(Double.self), sin(Tensor(100.0, dtype: .float64)).item(Double.self)
        )
        #expect(turn.isClose(to: Tensor([[c, -s], [s, c]], dtype: .float64), rtol: 1e-11))
        // Matrices of very different sizes in one batch do not disturb each other.
        let small = Tensor([[0.01, 0.02], [0.0, 0.03]], dtype: .float64)
        let both = LinearAlgebra.matrixExp(stack([small, small * 5000]))
        #expect(both[0].isClose(to: LinearAlgebra.matrixExp(small), rtol: 1e-14))
    }

    @Test func insideVmap() throws {
        let a =
            Tensor(normal: [4, 3, 3], dtype: .float64, generator: RandomGenerator(seed: 2)) + Tensor(eye: 3, dtype: .float64) * 4
        let b = Tensor(normal: [4, 3], dtype: .float64, generator: RandomGenerator(seed: 4))
        let x = vmap { a, b in try! LinearAlgebra.solve(a, b) }(a, b)
        #expect(x.isClose(to: try LinearAlgebra.solve(a, b), rtol: 1e-12))
        #expect(vmap { LinearAlgebra.det($0) }(a).isClose(to: LinearAlgebra.det(a), rtol: 1e-12))
        #expect(vmap { try! LinearAlgebra.svdvals($0) }(a).isClose(to: try LinearAlgebra.svdvals(a), rtol: 1e-12))
        #expect(
            vmap { LinearAlgebra.vectorNorm($0, 3, axes: [0]) }(a).isClose(
                to: LinearAlgebra.vectorNorm(a, 3, axes: [1]), rtol: 1e-12))
        // The Jacobian of the inverse: -A⁻¹ᵢₖ A⁻¹ₗⱼ.
        let y = try LinearAlgebra.inv(a[0])
        let j = jacobian(of: { try! LinearAlgebra.inv($0) })(a[0])
        let expected = -(y.reshaped([3, 1, 3, 1]) * y.T.reshaped([1, 3, 1, 3]))
        #expect(j.isClose(to: expected, rtol: 1e-10, atol: 1e-12))
    }

    @Test func mistakesStop() async {
        await #expect(processExitsWith: .failure) { _ = try LinearAlgebra.inv(Tensor(zeros: [2, 3])) }
        await #expect(processExitsWith: .failure) { _ = try LinearAlgebra.inv(Tensor(ones: [2, 2], dtype: .float16)) }
        await #expect(processExitsWith: .failure) { _ = try LinearAlgebra.solve(Tensor(eye: 2), Tensor(ones: [3])) }
        await #expect(processExitsWith: .failure) { _ = LinearAlgebra.vectorNorm(Tensor(zeros: [0]), .infinity) }
        await #expect(processExitsWith: .failure) {
            let x = Tensor(normal: [3, 2], requiresGradient: true)
            LinearAlgebra.qr(x, mode: .complete).q.sum().backward()
        }
    }
}

extension Tensor {
    fileprivate init(normal shape: [Int], requiresGradient: Bool) {
        self = Tensor(normal: shape)
        requiresGrad = requiresGradient
    }
}
