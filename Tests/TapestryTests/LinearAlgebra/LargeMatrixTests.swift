import Tapestry
import TestSupport
import Testing

/// Factorizations of matrices from 256 rows on, which are made of products, against what they mean.
@Suite(.serialized) struct LargeMatrixTests {
    private static let sizes = [[256, 256], [301, 301], [513, 257], [260, 700], [1000, 300]]

    private func matrix(_ size: [Int], _ dtype: DType) -> Tensor {
        Tensor(normal: size, generator: RandomGenerator(seed: UInt64(size[0]))).to(dtype)
    }

    /// The largest difference, relative to the largest element.
    private func distance(_ a: Tensor, _ b: Tensor) -> Double {
        (abs(a.to(.float64) - b.to(.float64)).max() / abs(b.to(.float64)).max()).item(Double.self)
    }

    @Test(arguments: sizes) func factors(_ size: [Int]) throws {
        for (dtype, limit) in [(DType.float32, 2e-5), (.float64, 1e-13)] {
            let a = matrix(size, dtype), (p, l, u) = LinearAlgebra.lu(a), (q, r) = LinearAlgebra.qr(a)
            #expect(distance(p • l • u, a) < limit, "LU \(size) \(dtype)")
            // Partial pivoting: no factor of a row exceeds 1.
            #expect(abs(l).max().item(Double.self) <= 1)
            #expect(distance(q • r, a) < limit, "QR \(size) \(dtype)")
            #expect(distance(q.T • q, Tensor(eye: q.shape[1], dtype: dtype)) < limit, "Q \(size) \(dtype)")
            #expect(abs(r.tril(diagonal: -1)).max().item(Double.self) == 0, "R \(size) \(dtype)")
            let complete = LinearAlgebra.qr(a, mode: .complete).q
            #expect(distance(complete • complete.T, Tensor(eye: size[0], dtype: dtype)) < limit, "all of Q \(size) \(dtype)")
        }
    }

    @Test func solutions() throws {
        for (dtype, limit) in [(DType.float32, 3e-3), (.float64, 1e-11)] {
            let a = matrix([385, 385], dtype)
            for columns in [1, 32, 64, 131] {
                let x = matrix([385, columns], dtype), b = a • x
                #expect(distance(try LinearAlgebra.solve(a, b), x) < limit, "\(columns) \(dtype)")
                #expect(distance(try LinearAlgebra.solve(a.T, a.T • x), x) < limit, "transposed \(columns) \(dtype)")
                #expect(distance(try LinearAlgebra.solve(a, x.T • a, left: false), x.T) < limit, "right \(columns) \(dtype)")
                let spd = a • a.T + Tensor(eye: 385, dtype: dtype), c = try LinearAlgebra.cholesky(spd)
                #expect(distance(LinearAlgebra.choleskySolve(c, spd • x), x) < 100 * limit, "Cholesky \(columns) \(dtype)")
                let u = LinearAlgebra.qr(a).r
                #expect(distance(LinearAlgebra.solveTriangular(u, u • x, upper: true), x) < 10 * limit, "\(columns) \(dtype)")
                #expect(
                    distance(LinearAlgebra.solveTriangular(u, x.T • u, upper: true, left: false), x.T) < 10 * limit,
                    "right, triangular \(columns) \(dtype)")
            }
            #expect(distance(a • (try LinearAlgebra.inv(a)), Tensor(eye: 385, dtype: dtype)) < limit)
        }
    }

    /// Sizes that are and are not multiples of a panel; more than one matrix.
    @Test(arguments: [[256, 256], [300, 300], [2, 321, 321], [640, 640]]) func inverses(_ shape: [Int]) throws {
        for (dtype, limit) in [(DType.float32, 3e-3), (.float64, 1e-11)] {
            let a = Tensor(normal: shape, generator: RandomGenerator(seed: 5)).to(dtype), inverse = try LinearAlgebra.inv(a)
            let identity = Tensor(eye: shape.last!, dtype: dtype).expanded(to: shape)
            #expect(distance(a.matmul(inverse), identity) < limit && distance(inverse.matmul(a), identity) < limit, "\(dtype)")
        }
    }

    /// Symmetric matrices whose eigenvalues are far apart, equal, nearly equal or of very different sizes: where divide and conquer leaves out most
    /// of the roots, or none. Errors are relative to the 1-norm. One triangle is read.
    @Test(arguments: [256, 301, 520]) func eigenvalues(_ n: Int) throws {
        let row = Tensor(arange: n).unsqueezed(1), column = Tensor(arange: n).unsqueezed(0), near = abs(row - column) .== 1
        func tridiagonal(_ diagonal: Tensor, beside: Tensor) -> Tensor {
            which(row .== column, diagonal.to(.float64), which(near, beside.to(.float64), Tensor(zeros: [], dtype: .float64)))
        }
        let one = Tensor(ones: [], dtype: .float64), center = Double(n - 1) / 2
        let rotation = LinearAlgebra.qr(matrix([n, n], .float64)).q
        func modulo(_ x: Tensor, _ divisor: Double) -> Tensor { remainder(x.to(.float64), one * divisor) }
        func rotated(_ values: Tensor) -> Tensor { (rotation * values.to(.float64)) • rotation.T }
        let place = Tensor(arange: n).to(.float64), random = matrix([n, n], .float64)
        let joints = which(modulo(maximum(row, column), 21) .== 0, one * 1e-7, one)
        let matrices: [(String, Tensor)] = [
            ("random", random + random.T), ("identity", Tensor(eye: n, dtype: .float64)),
            ("zero", Tensor(zeros: [n, n], dtype: .float64)),
            ("second differences", tridiagonal(one * 2, beside: -one)), ("ones", Tensor(ones: [n, n], dtype: .float64)),
            ("Wilkinson", tridiagonal(abs(place - center), beside: one)),
            ("glued Wilkinson", tridiagonal(abs(modulo(place, 21) - 10), beside: joints)),
            ("five values", rotated(modulo(place, 5))), ("geometric", rotated(exp(place * (-27 / Double(n))))),
            ("nearly equal", rotated(1 + place * 1e-9)), ("tiny", (random + random.T) * 1e-30),
        ]
        for (dtype, unit) in [(DType.float32, 6e-8), (.float64, 1.2e-16)] {
            let limit = 4 * unit * Double(n)
            for (name, matrix) in matrices {
                let a = matrix.to(dtype), size = Swift.max(abs(a.to(.float64)).sum(0).max().item(Double.self), 1e-35)
                for upper in [false, true] {
                    let (w, v) = try LinearAlgebra.eigh(upper ? a.triu() : a.tril(), upper: upper), what = "\(name) \(n) \(dtype)"
                    let exact = v.to(.float64), scaled = a.to(.float64) / size, values = w.to(.float64) / size
                    #expect(abs(scaled • exact - exact * values).max().item(Double.self) < limit, "A V of \(what)")
                    #expect(distance(exact.T • exact, Tensor(eye: n, dtype: .float64)) < limit, "Vᵀ V of \(what)")
                    #expect((w[1...] .>= w[..<(n - 1)]).all().item(Bool.self), "order of \(what)")
                    let alone = try LinearAlgebra.eigvalsh(upper ? a.triu() : a.tril(), upper: upper).to(.float64) / size
                    #expect(abs(alone - values).max().item(Double.self) < limit, "values alone of \(what)")
                }
            }
            // 2 - 2 cos(k π / (n + 1)), k = 1 ... n
            let found = try LinearAlgebra.eigh(tridiagonal(one * 2, beside: -one).to(dtype)).eigenvalues
            let known = 2 - 2 * cos((place + 1) * (Double.pi / Double(n + 1)))
            #expect(abs(found.to(.float64) - known).max().item(Double.self) < limit, "second differences \(n) \(dtype)")
        }
        let broken = which((row .== 7) .& (column .== 7), one * Double.nan, random + random.T)
        #expect(throws: LinearAlgebraError.self) { try LinearAlgebra.eigh(broken) }
        #expect(throws: LinearAlgebraError.self) { try LinearAlgebra.eigvalsh(broken) }
    }

    /// Singular matrices are named by the row of the pivot that is 0.
    @Test func singular() {
        let a = matrix([300, 300], .float64), rows = Tensor(arange: 300).unsqueezed(0)
        let (_, _, info) = LinearAlgebra.luFactorWithInfo(which(rows .== 200, Tensor(zeros: [], dtype: .float64), a))
        #expect(info.item(Int.self) == 201)
        #expect(throws: LinearAlgebraError.self) {
            try LinearAlgebra.inv(which(rows .== 200, Tensor(zeros: [], dtype: .float64), a))
        }
    }

    /// One thread or two, alone or in a batch: the same bits.
    @Test func determinism() throws {
        let before = Configuration.threadCount
        defer { Configuration.threadCount = before }
        let a = matrix([2, 300, 300], .float32)
        func results(_ a: Tensor) throws -> [Tensor] {
            let (q, r) = LinearAlgebra.qr(a), (lu, pivots) = try LinearAlgebra.luFactor(a)
            let (w, v) = try LinearAlgebra.eigh(a)
            return [q, r, lu, pivots, try LinearAlgebra.inv(a), w, v]
        }
        let alone = try results(a[0])
        for threads in [1, 2, 3] {
            Configuration.threadCount = threads
            for (x, y) in zip(try results(a[0]), alone) { #expect(x.isEqual(to: y), "\(threads) threads") }
            for (x, y) in zip(try results(a), alone) { #expect(x[0].isEqual(to: y), "in a batch, \(threads) threads") }
        }
    }
}
