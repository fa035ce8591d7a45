import Tapestry

extension OnnxTable {
    static let products: [String: OnnxOperator] = [
        "MatMul": { matmul(try $0.x(0), try $0.x(1)) },
        "Gemm": { call in
            let a = try call.flag("transA") ? try call.x(0).T : try call.x(0),
                b = try call.flag("transB") ? try call.x(1).T : try call.x(1)
            let alpha = try call.double("alpha", or: 1), beta = try call.double("beta", or: 1), ab = matmul(a, b)
            let y = alpha == 1 ? ab : ab * alpha
            return try call.optional(2).map { y + (beta == 1 ? $0 : $0 * beta) } ?? y
        },
        "Einsum": { einsum(try $0.string("equation", or: "").filter { $0 != " " }, try $0.tensors) },
        "Det": { LinearAlgebra.det(try $0.x()) },
    ]
}
