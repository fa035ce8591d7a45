import Foundation
import Tapestry
import TestSupport

/// Elementwise functions beside the basic ones.
extension OpCatalog {
    static let special: [OpRow] = [
        one("asinh", anywhere, { Foundation.asinh($0) }, { asinh($0) }),
        one("acosh", real(1.2, 4), { Foundation.acosh($0) }, { acosh($0) }),
        one("atanh", inside, slack: 2, { Foundation.atanh($0) }, { atanh($0) }),
        one("lgamma", real(0.3, 5), slack: 2, { Foundation.lgamma($0) }, { lgamma($0) }),
        OpRow("digamma", each { .real($0, 0.4...5) }, .golden("digamma"), types: [.float32], { digamma($0[0]) }),
        OpRow("polygamma", each { .real($0, 0.5...5) }, .golden("special.polygamma"), types: [.float32], { polygamma(2, $0[0]) }),
        one(
            "multivariateLgamma", real(1.3, 5), slack: 4,
            { Foundation.lgamma($0) + Foundation.lgamma($0 - 0.5) + 0.5 * Foundation.log(Double.pi) },
            { multivariateLgamma($0, dimension: 2) }),
        OpRow("erfinv", each { .real($0, -0.9...0.9) }, .golden("erfinv"), { erfinv($0[0]) }),
        one("erfcx", real(-1, 4), slack: 2, { Foundation.exp($0 * $0) * Foundation.erfc($0) }, { erfcx($0) }),
        one("ndtr", anywhere, { 0.5 * Foundation.erfc(-$0 / 2.0.squareRoot()) }, { ndtr($0) }),
        OpRow("ndtri", each { .real($0, 0.05...0.95) }, .golden("special.ndtri"), types: [.float32], { ndtri($0[0]) }),
        one("logNdtr", real(-3, 3), slack: 2, { Foundation.log(0.5 * Foundation.erfc(-$0 / 2.0.squareRoot())) }, { logNdtr($0) }),
        OpRow("i0", each { .real($0, -3...3) }, .golden("i0"), types: [.float32], { i0($0[0]) }),
        OpRow("i0e", each { .nonzero($0, to: 3) }, .golden("special.i0e"), types: [.float32], { i0e($0[0]) }),
        OpRow("i1", each { .nonzero($0, to: 3) }, .elements { besselI1($0[0]) }, types: [.float32], { i1($0[0]) }),
        OpRow("i1e", each { .nonzero($0, to: 3) }, .golden("special.i1e"), types: [.float32], { i1e($0[0]) }),
        one("sinc", offZero, { Foundation.sin(Double.pi * $0) / (Double.pi * $0) }, { sinc($0) }),
        one("entr", positive, { -$0 * Foundation.log($0) }, { entr($0) }),
        one("logit", real(0.1, 0.9), { Foundation.log($0 / (1 - $0)) }, { logit($0) }),
        one("frac", real(0.1, 0.9), orders: 1, { $0 - $0.rounded(.towardZero) }, { frac($0 + 3) - 0 }),
        one(
            "round to decimals", real(0.11, 0.14), orders: 0, { ($0 * 10).rounded(.toNearestOrEven) / 10 },
            { round($0, decimals: 1) }),
        one("radians", anywhere, { $0 * Double.pi / 180 }, { radians(fromDegrees: $0) }),
        one("degrees", real(-0.02, 0.02), slack: 2, { $0 * 180 / Double.pi }, { degrees(fromRadians: $0) }),
        one("signBit", offZero, orders: 0, { $0 < 0 ? 1 : 0 }, { $0.signBit }),
        one("replacingNonFinite", anywhere, integers: [.int64], { $0 }, { $0.replacingNonFinite() }),
    ]

    /// By the series Σ (x/2)^(2k+1) / (k! (k+1)!).
    @Sendable private static func besselI1(_ x: Double) -> Double {
        var term = x / 2, sum = x / 2
        for k in 1...60 {
            term *= x * x / 4 / Double(k * (k + 1))
            sum += term
        }
        return sum
    }

    static let moreActivations: [OpRow] = [
        one("relu6", { .nonzero($0, to: 5) }, { min(max($0, 0), 6) }, { relu6($0) }),
        one(
            "hardtanh", { .nonzero($0, gap: 0.1, to: 0.9) }, { min(max($0, -0.95), 0.95) },
            { hardtanh($0, min: -0.95, max: 0.95) }),
        one("selu", offZero, { 1.0507009873554805 * ($0 > 0 ? $0 : 1.6732632423543772 * Foundation.expm1($0)) }, { selu($0) }),
        one("celu", offZero, { $0 > 0 ? $0 : 2 * Foundation.expm1($0 / 2) }, { celu($0, alpha: 2) }),
        one("mish", anywhere, { $0 * Foundation.tanh(Foundation.log1p(Foundation.exp($0))) }, { mish($0) }),
        one("hardswish", real(-2.8, 2.8), { $0 * min(max($0 + 3, 0), 6) / 6 }, { hardswish($0) }),
        one("hardsigmoid", real(-2.8, 2.8), { min(max($0 + 3, 0), 6) / 6 }, { hardsigmoid($0) }),
        one("softsign", offZero, { $0 / (1 + Swift.abs($0)) }, { softsign($0) }),
        one("tanhshrink", anywhere, { $0 - Foundation.tanh($0) }, { tanhshrink($0) }),
        one("softshrink", { .nonzero($0, gap: 0.6, to: 2) }, { $0 > 0 ? $0 - 0.5 : $0 + 0.5 }, { softshrink($0) }),
        one("hardshrink", { .nonzero($0, gap: 0.6, to: 2) }, { $0 }, { hardshrink($0) }),
        one("thresholded", offZero, { $0 > 0.1 ? $0 : 7 }, { thresholded($0, threshold: 0.1, value: 7) }),
        one("rrelu", offZero, { $0 > 0 ? $0 : $0 * (0.125 + 1.0 / 3) / 2 }, { rrelu($0) }),
        OpRow(
            "prelu", [[.nonzero([2, 3, 2]), .real([3])], [.nonzero([4]), .real([1])]],
            .arrays { a in
                ReferenceArray(a[0].shape) { i in
                    let x = a[0][i]
                    return x > 0 ? x : x * a[1].values[a[1].values.count == 1 ? 0 : i[1]]
                }
            }, { prelu($0[0], slope: $0[1]) }),
        gate("glu", { 1 / (1 + Foundation.exp(-$0)) }, { glu($0) }),
        gate("reglu", { max($0, 0) }, { reglu($0) }),
        gate("geglu", { 0.5 * $0 * (1 + Foundation.erf($0 / 2.0.squareRoot())) }, { geglu($0) }),
        gate("swiglu", { $0 / (1 + Foundation.exp(-$0)) }, { swiglu($0) }),
    ]

    private static func gate(
        _ name: String, _ f: @escaping @Sendable (Double) -> Double, _ call: @escaping @Sendable (Tensor) -> Tensor
    ) -> OpRow {
        OpRow(
            name, [[.nonzero([3, 4])], [.nonzero([2])], [.nonzero([0, 6])]],
            .arrays { a in
                let half = a[0].shape.last! / 2
                return ReferenceArray(Array(a[0].shape.dropLast()) + [half]) { i in
                    var other = i
                    other[other.count - 1] += half
                    return a[0][i] * f(a[0][other])
                }
            }, { call($0[0]) })
    }

    static let moreBinary: [OpRow] = [
        two("hypot", offZero, offZero, { Foundation.hypot($0, $1) }, { hypot($0, $1) }),
        two(
            "fmod", { .real($0, 0.1...0.4) }, { .real($0, 0.5...0.9) }, integers: [.int64, .int32], types: [.float32],
            { Foundation.fmod($0, $1) }, { fmod($0, $1) }),
        two(
            "truncatedDivide", { .real($0, 0.1...0.4) }, { .real($0, 0.5...0.9) }, orders: 1, types: [.float32],
            { ($0 / $1).rounded(.towardZero) }, { truncatedDivide($0, $1) }),
        two("copySign", offZero, offZero, orders: 1, { Foundation.copysign($0, $1) }, { copySign($0, $1) }),
        two("nextAfter", offZero, offZero, orders: 0, types: [], { Foundation.nextafter($0, $1) }, { nextAfter($0, $1) }),
        two("heaviside", offZero, anywhere, orders: 0, { a, b in a < 0 ? 0 : a > 0 ? 1 : b }, { heaviside($0, $1) }),
        two("fmax", { .real($0, 0...1) }, { .real($0, 1.1...2) }, { max($0, $1) }, { fmax($0, $1) }),
        two("fmin", { .real($0, 1.1...2) }, { .real($0, 0...1) }, { min($0, $1) }, { fmin($0, $1) }),
        two("logAddExp", anywhere, anywhere, { Foundation.log(Foundation.exp($0) + Foundation.exp($1)) }, { logAddExp($0, $1) }),
        two(
            "logAddExp2", anywhere, anywhere, { Foundation.log2(Foundation.exp2($0) + Foundation.exp2($1)) },
            { logAddExp2($0, $1) }),
        two("xlogy", anywhere, positive, { $0 * Foundation.log($1) }, { xlogy($0, $1) }),
        two("xlog1py", anywhere, positive, { $0 * Foundation.log1p($1) }, { xlog1py($0, $1) }),
        OpRow(
            "zeta", pairs.map { [.real($0.1, 0.5...4)] },
            .elements { a in (0..<2000).reduce(0) { $0 + 1 / Foundation.pow(a[0] + Double($1), 4) } }, types: [.float32],
            slack: 20,
            { zeta(Tensor(4.0, dtype: $0[0].dtype, device: $0[0].device), $0[0]) }),
        two(
            "ldexp", anywhere, { .integers($0, -3..<4) }, { $0 * Foundation.exp2($1) }, { ldexp($0, $1) }),
        OpRow(
            "lerp", pairs.map { [.real($0.0), .real($0.1), .real($0.0, 0...1)] }, .elements { $0[0] + ($0[1] - $0[0]) * $0[2] },
            slack: 2,
            { lerp($0[0], $0[1], weight: $0[2]) }),
        OpRow(
            "addcmul", pairs.map { [.real($0.0), .real($0.1), .real($0.0)] }, .elements { $0[0] + 2 * $0[1] * $0[2] }, slack: 2,
            { addcmul($0[0], $0[1], $0[2], value: 2) }),
        OpRow(
            "addcdiv", pairs.map { [.real($0.0), .real($0.1), .nonzero($0.0)] }, .elements { $0[0] + 2 * $0[1] / $0[2] },
            slack: 2,
            { addcdiv($0[0], $0[1], $0[2], value: 2) }),
    ]

    private static func whole(
        _ name: String, _ reference: @escaping @Sendable (Int, Int) -> Int, _ call: @escaping @Sendable (Tensor, Tensor) -> Tensor
    ) -> OpRow {
        OpRow(
            name, eachPair({ .integers($0, 0..<20) }, { .integers($0, 0..<6) }),
            .elements { Double(reference(Int($0[0]), Int($0[1]))) },
            types: [], orders: 0, { call($0[0], $0[1]) })
    }

    static let integers: [OpRow] = [
        whole(
            "gcd",
            { a, b in
                var (x, y) = (a, b)
                while y != 0 { (x, y) = (y, x % y) }
                return x
            }, { gcd($0, $1) }),
        whole("lcm", { a, b in (1...120).first { a > 0 && b > 0 && $0 % a == 0 && $0 % b == 0 } ?? 0 }, { lcm($0, $1) }),
        whole("leftShift", { $0 << $1 }, { leftShift($0, $1) }), whole("rightShift", { $0 >> $1 }, { rightShift($0, $1) }),
        whole("bitwise and", { $0 & $1 }, { $0 .& $1 }), whole("bitwise or", { $0 | $1 }, { $0 .| $1 }),
        whole("bitwise xor", { $0 ^ $1 }, { $0 .^ $1 }),
        OpRow(
            "bitwise not", each { .integers($0, -9..<9) }, .elements { Double(~Int($0[0])) }, types: [], orders: 0, { .!$0[0] }),
    ]

    /// As real functions of the parts: their Jacobians by differences show that the gradients follow the convention.
    private static func complexRow(
        _ name: String, golden: String? = nil, shape: [Int] = [2, 3], arity: Int = 1, orders: Int = 2,
        domain: @escaping @Sendable ([Int]) -> Operand = { .nonzero($0, gap: 0.3, to: 1.2) },
        _ call: @escaping @Sendable ([Tensor]) -> Tensor
    ) -> OpRow {
        OpRow(
            "\(name) of complex numbers", [[Operand](repeating: domain(shape + [2]), count: arity)], .golden(golden ?? name),
            types: [],
            orders: orders,
            { parts in
                let y = call(parts.map { ($0.dtype == .float32 ? $0 : $0.to(.float64)).viewAsComplex })
                return y.dtype.isComplex ? y.viewAsReal : y
            })
    }

    static let complexNumbers: [OpRow] = [
        complexRow("mul", arity: 2, { $0[0] * $0[1] }), complexRow("div", arity: 2, { $0[0] / $0[1] }),
        complexRow("add", arity: 2, { $0[0] + $0[1] }), complexRow("sub", arity: 2, { $0[0] - $0[1] }),
        complexRow("pow", arity: 2, { pow($0[0], $0[1]) }), complexRow("neg", { -$0[0] }),
        complexRow("abs", { abs($0[0]) }), complexRow("angle", { angle($0[0]) }),
        complexRow("sign", golden: "sgn", { sign($0[0]) }),
        complexRow("conj", { conj($0[0]) }), complexRow("real", { $0[0].real }),
        complexRow("imaginary", golden: "imag", { $0[0].imaginary }),
        complexRow("exp", { exp($0[0]) }), complexRow("exp2", { exp2($0[0]) }), complexRow("expm1", { expm1($0[0]) }),
        complexRow("log", { log($0[0]) }), complexRow("log2", { log2($0[0]) }), complexRow("log10", { log10($0[0]) }),
        complexRow("log1p", { log1p($0[0]) }), complexRow("sqrt", { sqrt($0[0]) }), complexRow("rsqrt", { rsqrt($0[0]) }),
        complexRow("square", { square($0[0]) }), complexRow("reciprocal", { reciprocal($0[0]) }),
        complexRow("sin", { sin($0[0]) }),
        complexRow("cos", { cos($0[0]) }), complexRow("tan", { tan($0[0]) }), complexRow("asin", { asin($0[0]) }),
        complexRow("acos", { acos($0[0]) }), complexRow("atan", { atan($0[0]) }), complexRow("sinh", { sinh($0[0]) }),
        complexRow("cosh", { cosh($0[0]) }), complexRow("tanh", { tanh($0[0]) }), complexRow("asinh", { asinh($0[0]) }),
        complexRow("acosh", { acosh($0[0]) }), complexRow("atanh", { atanh($0[0]) }), complexRow("sigmoid", { sigmoid($0[0]) }),
        complexRow("silu", golden: "nn.functional.silu", { silu($0[0]) }), complexRow("sinc", { sinc($0[0]) }),
        complexRow("sum", { $0[0].sum(0) }), complexRow("mean", { $0[0].mean() }), complexRow("prod", { $0[0].prod(-1) }),
        complexRow("variance", golden: "var", { $0[0].variance(0) }), complexRow("cumsum", { $0[0].cumsum(axis: 0) }),
        complexRow("cumprod", { $0[0].cumprod(axis: 1) }), complexRow("logSumExp", golden: "logsumexp", { $0[0].logSumExp(-1) }),
        complexRow("matmul", shape: [2, 2], arity: 2, { matmul($0[0], $0[1]) }),
        complexRow("polar", arity: 2, { polar(magnitude: $0[0].real, angle: $0[1].imaginary) }),
        complexRow(
            "which", golden: "where", arity: 2, { which(Tensor([true, false, true], device: $0[0].device), $0[0], $0[1]) }),
    ]
}
