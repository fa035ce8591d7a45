import Tapestry
import TestSupport

extension OpCatalog {
    private typealias LA = LinearAlgebra

    private static func row(
        _ name: String, _ samples: [[Operand]], golden: String, orders: Int = 2, types: [DType] = [.float32],
        _ call: @escaping @Sendable ([Tensor]) -> Tensor
    ) -> OpRow {
        OpRow(name, samples, .golden(golden), types: types, orders: orders, slack: 1, call)
    }

    private static func matrices(_ shapes: [Int]...) -> [[Operand]] { shapes.map { [.real($0)] } }

    /// Well away from singular, with eigenvalues far apart.
    private static func regular(_ x: Tensor) -> Tensor {
        let n = x.shape.last!
        let spread = Tensor((0..<n).map { 2 + 1.5 * Double($0) }, shape: [n], dtype: x.dtype, device: x.device)
        return x * 0.3 + Tensor(eye: n, dtype: x.dtype, device: x.device) * spread
    }

    private static func symmetric(_ x: Tensor) -> Tensor { (regular(x) + regular(x).T) * 0.5 }

    private static func triangle(_ x: Tensor, upper: Bool) -> Tensor { upper ? regular(x).triu() : regular(x).tril() }

    /// Results side by side in one vector.
    private static func joined(_ parts: Tensor...) -> Tensor { concatenate(parts.map { $0.flattened() }) }

    private static let square3: [[Operand]] = matrices([3, 3], [2, 2, 2], [0, 0], [0, 2, 2])
    private static let anyShape: [[Operand]] = matrices([3, 2], [2, 3], [2, 2, 2], [0, 2], [2, 0])
    private static func system(_ shapes: ([Int], [Int])...) -> [[Operand]] { shapes.map { [.real($0.0), .real($0.1)] } }

    static let linearAlgebra: [OpRow] = [
        row(
            "solve", system(([3, 3], [3]), ([3, 3], [3, 2]), ([2, 2, 2], [2, 2]), ([2, 2], [2, 2, 1]), ([0, 0], [0, 2])),
            golden: "linalg.solve"
        ) {
            try! LA.solve(regular($0[0]), $0[1])
        },
        row("solve from the right", system(([3, 3], [2, 3]), ([2, 2, 2], [1, 2])), golden: "linalg.solve") {
            try! LA.solve(regular($0[0]), $0[1], left: false)
        },
        row(
            "solveTriangular", system(([3, 3], [3, 2]), ([2, 2, 2], [2, 1]), ([2, 2], [2, 2, 1])),
            golden: "linalg.solve_triangular"
        ) {
            joined(
                LA.solveTriangular(regular($0[0]), $0[1], upper: true), LA.solveTriangular(regular($0[0]), $0[1], upper: false),
                LA.solveTriangular($0[0] * 0.3, $0[1], upper: true, unitriangular: true))
        },
        row(
            "solveTriangular from the right", system(([3, 3], [2, 3]), ([2, 2], [2, 1, 2])), golden: "linalg.solve_triangular"
        ) {
            joined(
                LA.solveTriangular(regular($0[0]).T, $0[1], upper: true, left: false),
                LA.solveTriangular($0[0] * 0.3, $0[1], upper: false, left: false, unitriangular: true))
        },
        row("inv", square3, golden: "linalg.inv") { try! LA.inv(regular($0[0])) },
        row("det", square3, golden: "linalg.det") { LA.det(regular($0[0]) * 0.5) },
        row("slogdet and logdet", square3, golden: "linalg.slogdet") {
            joined(LA.slogdet(regular($0[0])).logAbsDet, LA.logdet(regular($0[0])))
        },
        row("cholesky", square3, golden: "linalg.cholesky") {
            joined(try! LA.cholesky(symmetric($0[0])), try! LA.cholesky(symmetric($0[0]), upper: true))
        },
        row("choleskySolve", system(([3, 3], [3, 2]), ([2, 2, 2], [2, 1])), golden: "cholesky_solve") {
            joined(
                LA.choleskySolve(triangle($0[0], upper: false), $0[1]),
                LA.choleskySolve(triangle($0[0], upper: true), $0[1], upper: true))
        },
        row("choleskyInverse", square3, golden: "cholesky_inverse") {
            joined(
                try! LA.choleskyInverse(triangle($0[0], upper: false)),
                try! LA.choleskyInverse(triangle($0[0], upper: true), upper: true))
        },
        row("luFactor", anyShape + square3, golden: "linalg.lu_factor") { LA.luFactorWithInfo($0[0]).lu },
        row("lu", matrices([3, 2], [2, 3], [2, 2, 2]), golden: "linalg.lu") {
            let (_, l, u) = LA.lu($0[0])
            return joined(l, u)
        },
        row("luSolve", system(([3, 3], [3, 2]), ([2, 2, 2], [2, 2])), golden: "linalg.lu_solve") {
            let (lu, pivots) = try! LA.luFactor(regular($0[0]).flipped([-2]))
            return joined(LA.luSolve(lu, pivots: pivots, $0[1]), LA.luSolve(lu, pivots: pivots, $0[1], adjoint: true))
        },
        row("luSolve from the right", system(([3, 3], [2, 3])), golden: "linalg.lu_solve") {
            let (lu, pivots) = try! LA.luFactor(regular($0[0]).flipped([-2]))
            return LA.luSolve(lu, pivots: pivots, $0[1], left: false)
        },
        row("qr", anyShape, golden: "linalg.qr") {
            let (q, r) = LA.qr($0[0])
            return joined(q, r)
        },
        row("qr complete", matrices([2, 3], [3, 3]), golden: "linalg.qr") {
            let (q, r) = LA.qr(regular3($0[0]), mode: .complete)
            return joined(q, r)
        },
        row("householderProduct", system(([3, 2], [2]), ([2, 3, 3], [2, 2])), golden: "linalg.householder_product") {
            LA.householderProduct($0[0], tau: $0[1])
        },
        // Of the singular vectors only what their signs do not touch.
        row("svd", anyShape, golden: "linalg.svd") {
            let (u, s, vh) = try! LA.svd($0[0] + offset($0[0]), fullMatrices: false)
            return joined(square(u), s, square(vh))
        },
        row("svd full", matrices([3, 2], [2, 3]), golden: "linalg.svd", orders: 1) {
            let (u, s, vh) = try! LA.svd($0[0] + offset($0[0]))
            return joined(square(u[TensorIndex.ellipsis, 0..<2]), s, square(vh[TensorIndex.ellipsis, 0..<2, TensorIndex.all]))
        },
        row("svdvals", anyShape, golden: "linalg.svdvals") { try! LA.svdvals($0[0] + offset($0[0])) },
        row("lowRankApproximation", matrices([3, 3]), golden: "linalg.svd") {
            try! LA.lowRankApproximation($0[0] + offset($0[0]), rank: 2)
        },
        row("eigh", square3, golden: "linalg.eigh") {
            let (w, v) = try! LA.eigh(symmetric($0[0]))
            return joined(w, square(v))
        },
        row("eigvalsh", square3, golden: "linalg.eigvalsh") { try! LA.eigvalsh(symmetric($0[0]), upper: true) },
        row("eig", square3, golden: "linalg.eig") {
            let (w, v) = try! LA.eig(regular($0[0]))
            return joined(w.real, square(abs(v)))
        },
        row("eigvals, complex", matrices([2, 2]), golden: "linalg.eigvals") {
            // A turn, and so a pair of conjugate eigenvalues.
            let w = try! LA.eigvals($0[0] * 0.2 + Tensor([[0, -2], [2, 0]], dtype: $0[0].dtype, device: $0[0].device))
            return joined(w.real, square(w.imaginary))
        },
        row("spectralRadius", matrices([3, 3], [2, 2, 2]), golden: "linalg.eigvals") { try! LA.spectralRadius(regular($0[0])) },
        row("lstsq", system(([4, 2], [4, 2]), ([2, 3, 2], [2, 3]), ([2, 4], [2, 1])), golden: "linalg.lstsq") {
            let found = try! LA.lstsq($0[0] + offset($0[0]), $0[1], driver: .gelsd)
            return joined(found.solution, found.residuals)
        },
        row("pinv", matrices([3, 2], [2, 3], [2, 2, 2], [0, 2]), golden: "linalg.pinv") { try! LA.pinv($0[0] + offset($0[0])) },
        row("pinv hermitian", square3, golden: "linalg.pinv.hermitian") { try! LA.pinv(symmetric($0[0]), hermitian: true) },
        row("cond", square3.dropLast(2), golden: "linalg.cond") {
            let a = regular($0[0])
            return joined(try! LA.cond(a), try! LA.cond(a, -2), try! LA.cond(a, .frobenius), try! LA.cond(a, 1))
        },
        row("matrixExp", matrices([3, 3], [2, 2, 2], [1, 1], [0, 0]), golden: "matrix_exp") {
            joined(LA.matrixExp($0[0] * 0.1), LA.matrixExp($0[0] * 2))
        },
        row("matrixPower", matrices([3, 3], [2, 2, 2]), golden: "linalg.matrix_power") {
            let a = regular($0[0]) * 0.3
            return joined(try! LA.matrixPower(a, 5), try! LA.matrixPower(a, -2), try! LA.matrixPower(a, 0))
        },
        row(
            "multiDot",
            [[.real([3]), .real([3, 2]), .real([2, 4]), .real([4])], [.real([2, 3]), .real([3, 1]), .real([1, 4])]],
            golden: "linalg.multi_dot"
        ) {
            LA.multiDot($0)
        },
        row("vecdot", system(([2, 3], [2, 3]), ([3], [2, 3])), golden: "linalg.vecdot") { LA.vecdot($0[0], $0[1]) },
        row("cross", system(([2, 3], [2, 3]), ([1, 3], [2, 3])), golden: "linalg.cross") { LA.cross($0[0], $0[1]) },
        row("vander", matrices([3], [2, 2], []), golden: "linalg.vander") { LA.vander($0[0], count: 4) },
        row("tensorinv", matrices([2, 2, 4]), golden: "linalg.tensorinv") {
            try! LA.tensorinv(regular($0[0].reshaped([4, 4])).reshaped([2, 2, 4]))
        },
        row("tensorsolve", system(([2, 2, 4], [2, 2])), golden: "linalg.tensorsolve") {
            try! LA.tensorsolve(regular($0[0].reshaped([4, 4])).reshaped([2, 2, 4]), $0[1])
        },
        row("vectorNorm", [[.nonzero([2, 3])], [.nonzero([4])], [.nonzero([])]], golden: "linalg.vector_norm") { x in
            concatenate(
                [0, 0.5, 1, 1.5, 2, 3, -1, .infinity, -.infinity].map { LA.vectorNorm(x[0], $0).unsqueezed(0) })
        },
        row("matrixNorm", matrices([3, 2], [2, 2, 2]), golden: "linalg.matrix_norm") { x in
            let orders: [LA.NormOrder] = [.frobenius, .nuclear, 1, -1, 2, -2, .p(.infinity), .p(-.infinity)]
            return concatenate(orders.map { try! LA.matrixNorm(x[0] + offset(x[0]), $0).flattened() })
        },
        row("norm", matrices([3, 2]), golden: "linalg.norm") {
            joined(try! LA.norm($0[0]), try! LA.norm($0[0], 3, axes: [0]), try! LA.norm($0[0], .frobenius))
        },
        row("dist", system(([2, 3], [3])), golden: "dist") { joined(LA.dist($0[0], $0[1]), LA.dist($0[0], $0[1], p: 3)) },
    ]

    /// The same for matrices that need not be square.
    private static func regular3(_ x: Tensor) -> Tensor { x * 0.3 + offset(x) }

    /// A rectangular diagonal that keeps singular values apart.
    private static func offset(_ x: Tensor) -> Tensor {
        let m = x.shape[x.rank - 2], n = x.shape[x.rank - 1]
        let rows = Tensor(arange: m, device: x.device).unsqueezed(1), columns = Tensor(arange: n, device: x.device)
        return (rows .== columns).to(x.dtype) * (columns.to(x.dtype) * 4 + 5)
    }
}
