import Foundation
import Tapestry
import TestSupport

extension OpCatalog {
    static func one(
        _ name: String, _ domain: @escaping @Sendable ([Int]) -> Operand, integers: [DType] = [], orders: Int = 2,
        slack: Double = 1,
        _ reference: @escaping @Sendable (Double) -> Double, _ call: @escaping @Sendable (Tensor) -> Tensor
    ) -> OpRow {
        OpRow(
            name, each(domain), .elements { reference($0[0]) }, integers: integers, orders: orders, slack: slack,
            { call($0[0]) })
    }

    static func real(_ low: Double, _ high: Double) -> @Sendable ([Int]) -> Operand { { .real($0, low...high) } }
    static let anywhere = real(-2, 2)
    static let positive = real(0.2, 3)
    static let inside = real(-0.9, 0.9)
    static let offZero: @Sendable ([Int]) -> Operand = { .nonzero($0) }

    static let unary: [OpRow] = [
        one("neg", anywhere, integers: [.int64, .int32, .int8], { -$0 }, { -$0 }),
        one("abs", offZero, integers: [.int64, .int32, .int8], { Swift.abs($0) }, { abs($0) }),
        one("sign", offZero, integers: [.int64, .int32], orders: 1, { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }, { sign($0) }),
        one("square", anywhere, integers: [.int64, .int32], { $0 * $0 }, { square($0) }),
        one("reciprocal", offZero, { 1 / $0 }, { reciprocal($0) }),
        one("exp", anywhere, { Foundation.exp($0) }, { exp($0) }),
        one("exp2", anywhere, { Foundation.exp2($0) }, { exp2($0) }),
        one("expm1", anywhere, { Foundation.expm1($0) }, { expm1($0) }),
        one("log", positive, { Foundation.log($0) }, { log($0) }),
        one("log2", positive, { Foundation.log2($0) }, { log2($0) }),
        one("log10", positive, { Foundation.log10($0) }, { log10($0) }),
        one("log1p", positive, { Foundation.log1p($0) }, { log1p($0) }),
        one("sqrt", positive, { $0.squareRoot() }, { sqrt($0) }),
        one("rsqrt", positive, { 1 / $0.squareRoot() }, { rsqrt($0) }),
        one("sin", real(-9, 9), { Foundation.sin($0) }, { sin($0) }),
        one("cos", real(-9, 9), { Foundation.cos($0) }, { cos($0) }),
        one("tan", real(-1.2, 1.2), slack: 2, { Foundation.tan($0) }, { tan($0) }),
        one("asin", inside, { Foundation.asin($0) }, { asin($0) }),
        one("acos", inside, { Foundation.acos($0) }, { acos($0) }),
        one("atan", anywhere, { Foundation.atan($0) }, { atan($0) }),
        one("sinh", anywhere, { Foundation.sinh($0) }, { sinh($0) }),
        one("cosh", anywhere, { Foundation.cosh($0) }, { cosh($0) }),
        one("erf", anywhere, { Foundation.erf($0) }, { erf($0) }),
        one("erfc", anywhere, { Foundation.erfc($0) }, { erfc($0) }),
        one("floor", real(-3.4, 3.4), integers: [.int64], orders: 1, { $0.rounded(.down) }, { floor($0) }),
        one("ceil", real(-3.4, 3.4), integers: [.int64], orders: 1, { $0.rounded(.up) }, { ceil($0) }),
        one("trunc", real(-3.4, 3.4), integers: [.int64], orders: 1, { $0.rounded(.towardZero) }, { trunc($0) }),
        one("round", real(-3.4, 3.4), integers: [.int64], orders: 1, { $0.rounded(.toNearestOrEven) }, { round($0) }),
        one("clamped", offZero, integers: [.int64], { min(max($0, -0.1), 1.1) }, { $0.clamped(min: -0.1, max: 1.1) }),
        one("aliased", anywhere, integers: allIntegers, { $0 }, { $0.aliased() }),
        one("plus a number", anywhere, integers: [.int64, .int32], { $0 + 3 }, { $0 + 3 }),
        one("number minus", anywhere, integers: [.int64, .int32], { 3 - $0 }, { 3 - $0 }),
        one("times a number", anywhere, integers: [.int64, .int32], { $0 * 3 }, { $0 * 3 }),
        one("number over", offZero, { 3 / $0 }, { 3 / $0 }),
        one("to the 3rd", anywhere, { $0 * $0 * $0 }, { pow($0, 3) }),
        one("2 to the", anywhere, { Foundation.pow(2, $0) }, { pow(2, $0) }),
    ]

    static let activations: [OpRow] = [
        one("tanh", anywhere, { Foundation.tanh($0) }, { tanh($0) }),
        one("sigmoid", real(-6, 6), { 1 / (1 + Foundation.exp(-$0)) }, { sigmoid($0) }),
        one("relu", offZero, { max($0, 0) }, { relu($0) }),
        one("gelu", anywhere, { 0.5 * $0 * (1 + Foundation.erf($0 / 2.0.squareRoot())) }, { gelu($0) }),
        one(
            "gelu(tanh)", anywhere,
            { 0.5 * $0 * (1 + Foundation.tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) },
            { gelu($0, approximate: .tanh) }),
        one("silu", anywhere, { $0 / (1 + Foundation.exp(-$0)) }, { silu($0) }),
        one("softplus", real(-6, 6), { Foundation.log1p(Foundation.exp($0)) }, { softplus($0) }),
        one(
            "softplus(beta)", real(-6, 6), { $0 * 3 > 4 ? $0 : Foundation.log1p(Foundation.exp($0 * 3)) / 3 },
            { softplus($0, beta: 3, threshold: 4) }),
        one("logSigmoid", real(-6, 6), { -Foundation.log1p(Foundation.exp(-$0)) }, { logSigmoid($0) }),
        one("leakyReLU", offZero, { $0 > 0 ? $0 : 0.1 * $0 }, { leakyReLU($0, negativeSlope: 0.1) }),
        one("elu", offZero, { $0 > 0 ? $0 : Foundation.expm1($0) }, { elu($0) }),
    ]

    static func two(
        _ name: String, _ a: @escaping @Sendable ([Int]) -> Operand, _ b: @escaping @Sendable ([Int]) -> Operand,
        integers: [DType] = [], orders: Int = 2,
        types: [DType] = [.float32, .float16, .bfloat16],
        _ reference: @escaping @Sendable (Double, Double) -> Double,
        _ call: @escaping @Sendable (Tensor, Tensor) -> Tensor
    ) -> OpRow {
        OpRow(
            name, eachPair(a, b), .elements { reference($0[0], $0[1]) }, types: types, integers: integers, orders: orders,
            { call($0[0], $0[1]) })
    }

    static let binary: [OpRow] = [
        two("add", anywhere, anywhere, integers: allIntegers, { $0 + $1 }, { $0 + $1 }),
        two("sub", anywhere, anywhere, integers: [.int64, .int32, .int8], { $0 - $1 }, { $0 - $1 }),
        two("mul", anywhere, anywhere, integers: allIntegers, { $0 * $1 }, { $0 * $1 }),
        two("div", anywhere, offZero, { $0 / $1 }, { $0 / $1 }),
        two("pow", positive, anywhere, { Foundation.pow($0, $1) }, { pow($0, $1) }),
        two("maximum", { .real($0, 0...1) }, { .real($0, 1.1...2) }, integers: allIntegers, { max($0, $1) }, { maximum($0, $1) }),
        two("minimum", { .real($0, 1.1...2) }, { .real($0, 0...1) }, integers: allIntegers, { min($0, $1) }, { minimum($0, $1) }),
        two("atan2", offZero, offZero, { Foundation.atan2($0, $1) }, { atan2($0, $1) }),
        // Quotients stay clear of whole numbers, where the function jumps.
        two(
            "remainder", { .real($0, 0.1...0.4) }, { .real($0, 0.5...0.9) }, types: [.float32],
            { $0 - ($0 / $1).rounded(.down) * $1 }, { remainder($0, $1) }),
        two(
            "floorDivide", { .real($0, -0.4...(-0.1)) }, { .real($0, 0.5...0.9) }, orders: 1, types: [.float32],
            { ($0 / $1).rounded(.down) }, { floorDivide($0, $1) }),
        OpRow(
            "add in place",
            pairs.filter { ReferenceArray.broadcastShape([$0.0, $0.1]) == $0.0 }.map { [.real($0.0), .real($0.1)] },
            .elements { $0[0] + $0[1] },
            {
                var x = $0[0]
                x += $0[1]
                return x
            }),
    ]

    private static func truth(
        _ name: String, _ reference: @escaping @Sendable (Double, Double) -> Bool,
        _ call: @escaping @Sendable (Tensor, Tensor) -> Tensor
    ) -> OpRow {
        OpRow(
            name, eachPair({ .integers($0, 0..<3) }, { .integers($0, 0..<3) }),
            .elements { reference($0[0], $0[1]) ? 1 : 0 }, types: [.float64, .float32, .float16, .bfloat16],
            integers: allIntegers, orders: 0, { call($0[0], $0[1]) })
    }

    static let logic: [OpRow] = [
        truth("equal", { $0 == $1 }, { $0 .== $1 }), truth("notEqual", { $0 != $1 }, { $0 .!= $1 }),
        truth("less", { $0 < $1 }, { $0 .< $1 }),
        truth("lessEqual", { $0 <= $1 }, { $0 .<= $1 }), truth("greater", { $0 > $1 }, { $0 .> $1 }),
        truth("greaterEqual", { $0 >= $1 }, { $0 .>= $1 }),
        OpRow(
            "and", eachPair({ .boolean($0) }, { .boolean($0) }), .elements { $0[0] * $0[1] }, types: [], orders: 0,
            { $0[0] .& $0[1] }),
        OpRow(
            "or", eachPair({ .boolean($0) }, { .boolean($0) }), .elements { max($0[0], $0[1]) }, types: [], orders: 0,
            { $0[0] .| $0[1] }),
        OpRow(
            "xor", eachPair({ .boolean($0) }, { .boolean($0) }), .elements { $0[0] == $0[1] ? 0 : 1 }, types: [], orders: 0,
            { $0[0] .^ $0[1] }),
        OpRow("not", each { .boolean($0) }, .elements { 1 - $0[0] }, types: [], orders: 0, { .!$0[0] }),
        OpRow(
            "which", pairs.map { [.boolean($0.0), .real($0.1), .real($0.0)] }, .elements { $0[0] != 0 ? $0[1] : $0[2] },
            { which($0[0], $0[1], $0[2]) }),
        OpRow(
            "maskedFill", plainShapes.map { [.real($0), .boolean($0)] }, .elements { $0[1] != 0 ? 7 : $0[0] },
            { $0[0].maskedFill($0[1], 7) }),
        OpRow("isNaN", each { .real($0) }, .elements { _ in 0 }, orders: 0, { $0[0].isNaN }),
        OpRow("isFinite", each { .real($0) }, .elements { _ in 1 }, orders: 0, { $0[0].isFinite }),
        OpRow("isInfinite", each { .real($0) }, .elements { _ in 0 }, orders: 0, { $0[0].isInfinite }),
    ]
}
