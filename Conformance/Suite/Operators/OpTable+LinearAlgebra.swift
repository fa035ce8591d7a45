import Tapestry

extension OpTable {
    static let linearAlgebra: [String: Function] = [
        "cholesky": { [try LinearAlgebra.cholesky(try $0.tensor(0), upper: $0.bool(1, "upper"))] },
        "linalg.cholesky": { [try LinearAlgebra.cholesky(try $0.tensor(0), upper: $0.bool(9, "upper"))] },
        "linalg.cholesky_ex": { call in
            let (l, info) = LinearAlgebra.choleskyWithInfo(try call.tensor(0), upper: call.bool(9, "upper"))
            return [l, info]
        },
        "cholesky_inverse": { [try LinearAlgebra.choleskyInverse(try $0.tensor(0), upper: $0.bool(1, "upper"))] },
        "cholesky_solve": {
            [LinearAlgebra.choleskySolve(try $0.tensor(1), try $0.tensor(0), upper: $0.bool(2, "upper"))]
        },
        "linalg.inv": { [try LinearAlgebra.inv(try $0.tensor(0))] },
        "inverse": { [try LinearAlgebra.inv(try $0.tensor(0))] },
        "linalg.inv_ex": { call in
            let (y, info) = LinearAlgebra.invWithInfo(try call.tensor(0))
            return [y, info]
        },
        "linalg.solve": {
            [try LinearAlgebra.solve(try $0.tensor(0), try $0.tensor(1), left: $0.bool(9, "left", or: true))]
        },
        "linalg.solve_ex": { call in
            let (x, info) = LinearAlgebra.solveWithInfo(
                try call.tensor(0), try call.tensor(1), left: call.bool(9, "left", or: true))
            return [x, info]
        },
        "linalg.solve_triangular": {
            [
                LinearAlgebra.solveTriangular(
                    try $0.tensor(0), try $0.tensor(1), upper: $0.bool(9, "upper"), left: $0.bool(9, "left", or: true),
                    unitriangular: $0.bool(9, "unitriangular"))
            ]
        },
        "triangular_solve": { call in
            let b = try call.tensor(0), a = try call.tensor(1)
            let upper = call.bool(2, "upper", or: true), turned = call.bool(3, "transpose")
            let x = LinearAlgebra.solveTriangular(
                turned ? a.transposed() : a, b, upper: upper != turned, unitriangular: call.bool(4, "unitriangular"))
            return [x, a.aliased()]
        },
        "linalg.lu": { call in
            let (p, l, u) = LinearAlgebra.lu(try call.tensor(0), pivot: call.bool(9, "pivot", or: true))
            return [p, l, u]
        },
        "linalg.lu_factor": { call in
            let (lu, pivots) = try LinearAlgebra.luFactor(try call.tensor(0), pivot: call.bool(9, "pivot", or: true))
            return [lu, pivots]
        },
        "linalg.lu_factor_ex": { call in
            let (lu, pivots, info) = LinearAlgebra.luFactorWithInfo(
                try call.tensor(0), pivot: call.bool(9, "pivot", or: true))
            return [lu, pivots, info]
        },
        "lu": { call in
            let (lu, pivots, info) = LinearAlgebra.luFactorWithInfo(try call.tensor(0), pivot: call.bool(1, "pivot", or: true))
            return call.bool(2, "get_infos") ? [lu, pivots, info] : [lu, pivots]
        },
        "lu_unpack": { call in
            let (p, l, u) = LinearAlgebra.luUnpack(try call.tensor(0), pivots: try call.tensor(1))
            let data = call.bool(2, "unpack_data", or: true), pivots = call.bool(3, "unpack_pivots", or: true)
            let none = Tensor(zeros: [0], dtype: p.dtype)
            return [pivots ? p : none, data ? l : none, data ? u : none]
        },
        "linalg.lu_solve": {
            [
                LinearAlgebra.luSolve(
                    try $0.tensor(0), pivots: try $0.tensor(1), try $0.tensor(2), left: $0.bool(9, "left", or: true),
                    adjoint: $0.bool(9, "adjoint"))
            ]
        },
        "lu_solve": { [LinearAlgebra.luSolve(try $0.tensor(1), pivots: try $0.tensor(2), try $0.tensor(0))] },
        "linalg.qr": { call in
            let (q, r) = LinearAlgebra.qr(try call.tensor(0), mode: try qrMode(call.string(1, "mode", or: "reduced")))
            return [q, r]
        },
        "qr": { call in
            let (q, r) = LinearAlgebra.qr(try call.tensor(0), mode: call.bool(1, "some", or: true) ? .reduced : .complete)
            return [q, r]
        },
        "geqrf": { call in
            let (a, tau) = LinearAlgebra.householderQR(try call.tensor(0))
            return [a, tau]
        },
        "linalg.householder_product": { [LinearAlgebra.householderProduct(try $0.tensor(0), tau: try $0.tensor(1))] },
        "linalg.svd": { call in
            let (u, s, vh) = try LinearAlgebra.svd(try call.tensor(0), fullMatrices: call.bool(1, "full_matrices", or: true))
            return [u, s, vh]
        },
        "svd": { call in
            let (u, s, vh) = try LinearAlgebra.svd(try call.tensor(0), fullMatrices: !call.bool(1, "some", or: true))
            return [u, s, vh.adjoint]
        },
        "linalg.svdvals": { [try LinearAlgebra.svdvals(try $0.tensor(0))] },
        "linalg.eigh": { call in
            let (w, v) = try LinearAlgebra.eigh(try call.tensor(0), upper: call.string(1, "UPLO", or: "L") == "U")
            return [w, v]
        },
        "linalg.eigvalsh": {
            [try LinearAlgebra.eigvalsh(try $0.tensor(0), upper: $0.string(1, "UPLO", or: "L") == "U")]
        },
        "linalg.eig": { call in
            let (w, v) = try LinearAlgebra.eig(try call.tensor(0))
            return [w, v]
        },
        "linalg.eigvals": { [try LinearAlgebra.eigvals(try $0.tensor(0))] },
        "linalg.lstsq": { call in
            let found = try leastSquares(call)
            return [found.solution, found.residuals, found.rank, found.singularValues]
        },
        "linalg.lstsq.grad_oriented": { call in
            let found = try leastSquares(call)
            return [found.solution, found.residuals]
        },
        "linalg.pinv": { try pinv($0) }, "linalg.pinv.hermitian": { try pinv($0) },
        // A matrix of lower rank, made of two factors.
        "linalg.pinv.singular": { [try LinearAlgebra.pinv(matmul(try $0.tensor(0), try $0.tensor(1).transposed()))] },
        "pinverse": { [try LinearAlgebra.pinv(try $0.tensor(0), rtol: try $0.double(1, "rcond", or: 1e-15))] },
        "linalg.matrix_rank": { call in
            let atol = try call.optionalTensor(9, "atol"), rtol = try call.optionalTensor(9, "rtol")
            if call.has("tol") {
                let tol = try call.tensor(9, "tol")
                return [
                    try LinearAlgebra.matrixRank(
                        try call.tensor(0), atol: tol, rtol: Tensor(0.0), hermitian: call.bool(9, "hermitian"))
                ]
            }
            return [
                try LinearAlgebra.matrixRank(try call.tensor(0), atol: atol, rtol: rtol, hermitian: call.bool(9, "hermitian"))
            ]
        },
        "linalg.det": { [LinearAlgebra.det(try $0.tensor(0))] },
        "det": { [LinearAlgebra.det(try $0.tensor(0))] },
        "linalg.slogdet": { call in
            let (sign, size) = LinearAlgebra.slogdet(try call.tensor(0))
            return [sign, size]
        },
        "slogdet": { call in
            let (sign, size) = LinearAlgebra.slogdet(try call.tensor(0))
            return [sign, size]
        },
        "logdet": { [LinearAlgebra.logdet(try $0.tensor(0))] },
        "linalg.cond": { [try LinearAlgebra.cond(try $0.tensor(0), try normOrder($0, 1, "p") ?? 2)] },
        "matrix_exp": { [try matrixExp($0)] }, "linalg.matrix_exp": { [try matrixExp($0)] },
        "linalg.matrix_power": { [try LinearAlgebra.matrixPower(try $0.tensor(0), try $0.int(1, "n"))] },
        "matrix_power": { [try LinearAlgebra.matrixPower(try $0.tensor(0), try $0.int(1, "n"))] },
        "linalg.multi_dot": { call in
            if call.arguments.count > 1 { return [LinearAlgebra.multiDot(call.arguments.flatMap(\.tensors))] }
            return [LinearAlgebra.multiDot(call.value(0, "tensors").tensors)]
        },
        "linalg.vecdot": { [LinearAlgebra.vecdot(try $0.tensor(0), try $0.tensor(1), axis: try $0.int(9, "dim", or: -1))] },
        "linalg.cross": { [LinearAlgebra.cross(try $0.tensor(0), try $0.tensor(1), axis: try $0.int(9, "dim", or: -1))] },
        "cross": { call in
            // Without an axis, the first of size 3.
            let a = try call.tensor(0), b = try call.tensor(1)
            let axis = try call.int(2, "dim", or: a.shape.firstIndex(of: 3) ?? -1)
            return [LinearAlgebra.cross(a, b, axis: axis)]
        },
        "linalg.diagonal": { call in
            let x = try call.tensor(0)
            return [
                x.diagonal(
                    offset: try call.int(9, "offset", or: 0), axis1: try call.int(9, "dim1", or: -2),
                    axis2: try call.int(9, "dim2", or: -1))
            ]
        },
        "linalg.vander": { call in
            let x = try call.tensor(0)
            return [LinearAlgebra.vander(x, count: call.has("N") ? try call.int(9, "N") : nil)]
        },
        "linalg.tensorinv": { [try LinearAlgebra.tensorinv(try $0.tensor(0), split: try $0.int(1, "ind", or: 2))] },
        "linalg.tensorsolve": { call in
            let axes = call.has("dims") ? try call.ints(9, "dims") : []
            return [try LinearAlgebra.tensorsolve(try call.tensor(0), try call.tensor(1), movedToEnd: axes)]
        },
        "dist": { [LinearAlgebra.dist(try $0.tensor(0), try $0.tensor(1), p: try $0.double(2, "p", or: 2))] },
        "linalg.vector_norm": { call in
            [
                LinearAlgebra.vectorNorm(
                    try call.tensor(0), try call.double(1, "ord", or: 2), axes: try call.axes(2, "dim"),
                    keepDims: call.bool(3, "keepdim"), dtype: dtype(call))
            ]
        },
        "linalg.matrix_norm": { call in
            var axes = (-2, -1)
            if case .list = call.value(2, "dim") {
                let list = try call.ints(2, "dim")
                axes = (list[0], list[1])
            }
            return [
                try LinearAlgebra.matrixNorm(
                    try call.tensor(0), try normOrder(call, 1, "ord") ?? .frobenius, axes: axes,
                    keepDims: call.bool(3, "keepdim"),
                    dtype: dtype(call))
            ]
        },
        "linalg.norm": { try norm($0) }, "linalg.norm.subgradients_at_zero": { try norm($0) },
        "norm": { try oldNorm($0) }, "norm.fro": { try oldNorm($0) }, "norm.inf": { try oldNorm($0) },
        "norm.nuc": { try oldNorm($0) },
    ]

    private static func matrixExp(_ call: GoldenCall) throws -> Tensor {
        let x = try call.tensor(0)
        if x.dtype == .bfloat16 || x.dtype == .float16 { throw Unsupported("\(x.dtype) exponentials, for which PyTorch has NaN") }
        return LinearAlgebra.matrixExp(x)
    }

    private static func qrMode(_ name: String) throws -> LinearAlgebra.QRMode {
        switch name {
        case "reduced": .reduced
        case "complete": .complete
        case "r": .r
        default: throw GoldenError("mode \(name)")
        }
    }

    private static func leastSquares(_ call: GoldenCall) throws -> LinearAlgebra.LeastSquares {
        let drivers: [String: LeastSquaresDriver] = ["gels": .gels, "gelsy": .gelsy, "gelsd": .gelsd, "gelss": .gelss]
        let rcond: Double? = if case .none = call.value(2, "rcond") { nil } else { try call.double(2, "rcond", or: 0) }
        return try LinearAlgebra.lstsq(
            try call.tensor(0), try call.tensor(1), rcond: rcond, driver: drivers[call.string(9, "driver", or: "gelsy")]!)
    }

    private static func pinv(_ call: GoldenCall) throws -> [Tensor] {
        let rtol = try call.optionalTensor(9, call.has("rcond") ? "rcond" : "rtol")
        return [
            try LinearAlgebra.pinv(
                try call.tensor(0), atol: try call.optionalTensor(9, "atol"), rtol: rtol, hermitian: call.bool(9, "hermitian"))
        ]
    }

    private static func normOrder(_ call: GoldenCall, _ position: Int, _ name: String) throws -> LinearAlgebra.NormOrder? {
        switch call.value(position, name) {
        case .none: return nil
        case .string("fro"): return .frobenius
        case .string("nuc"): return .nuclear
        case .int(let p): return .p(Double(p))
        case .float(let p): return .p(p)
        default: throw GoldenError("no order of a norm")
        }
    }

    private static func dtype(_ call: GoldenCall) -> DType? {
        if case .dtype(let name) = call.value(9, "dtype") { return GoldenFile.dtype(name) }
        return nil
    }

    private static func norm(_ call: GoldenCall) throws -> [Tensor] {
        var axes: [Int]?
        if case .none = call.value(2, "dim") {} else { axes = try call.ints(2, "dim") }
        return [
            try LinearAlgebra.norm(
                try call.tensor(0), try normOrder(call, 1, "ord"), axes: axes, keepDims: call.bool(3, "keepdim"),
                dtype: dtype(call))
        ]
    }

    /// torch.norm: a number is a vector's order, over however many axes.
    private static func oldNorm(_ call: GoldenCall) throws -> [Tensor] {
        let x = try call.tensor(0), keepDims = call.bool(3, "keepdim")
        switch try normOrder(call, 1, "p") ?? .frobenius {
        case .nuclear:
            var axes = (-2, -1)
            if case .list = call.value(2, "dim") {
                let list = try call.ints(2, "dim")
                axes = (list[0], list[1])
            }
            return [try LinearAlgebra.matrixNorm(x, .nuclear, axes: axes, keepDims: keepDims, dtype: dtype(call))]
        case .frobenius:
            return [LinearAlgebra.vectorNorm(x, 2, axes: try call.axes(2, "dim"), keepDims: keepDims, dtype: dtype(call))]
        case .p(let p):
            return [LinearAlgebra.vectorNorm(x, p, axes: try call.axes(2, "dim"), keepDims: keepDims, dtype: dtype(call))]
        }
    }
}
