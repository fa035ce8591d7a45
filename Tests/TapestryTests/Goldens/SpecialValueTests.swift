import ConformanceSuite
import Foundation
import Tapestry
import Testing

/// NaN, infinities, signed zeros, subnormal and huge numbers, and divisions by zero: what NumPy and PyTorch give.
@Suite struct SpecialValueTests {
    private static let unary: [String: @Sendable (Tensor) -> Tensor] = [
        "abs": { abs($0) }, "sign": { sign($0) }, "sqrt": { sqrt($0) }, "exp": { exp($0) }, "exp2": { exp2($0) },
        "expm1": { expm1($0) },
        "log": { log($0) }, "log2": { log2($0) }, "log10": { log10($0) }, "log1p": { log1p($0) }, "sin": { sin($0) },
        "cos": { cos($0) },
        "tan": { tan($0) }, "asin": { asin($0) }, "acos": { acos($0) }, "atan": { atan($0) }, "sinh": { sinh($0) },
        "cosh": { cosh($0) },
        "tanh": { tanh($0) }, "asinh": { asinh($0) }, "acosh": { acosh($0) }, "atanh": { atanh($0) }, "floor": { floor($0) },
        "ceil": { ceil($0) }, "trunc": { trunc($0) }, "round": { round($0) }, "reciprocal": { reciprocal($0) },
        "square": { square($0) },
        "signBit": { $0.signBit }, "isNaN": { $0.isNaN }, "isFinite": { $0.isFinite }, "sinc": { sinc($0) }, "erf": { erf($0) },
        "erfc": { erfc($0) }, "erfinv": { erfinv($0) }, "lgamma": { lgamma($0) }, "digamma": { digamma($0) },
        "sigmoid": { sigmoid($0) }, "logSigmoid": { logSigmoid($0) }, "i0": { i0($0) }, "i0e": { i0e($0) }, "i1": { i1($0) },
        "i1e": { i1e($0) }, "ndtri": { ndtri($0) }, "logNdtr": { logNdtr($0) }, "erfcx": { erfcx($0) }, "entr": { entr($0) },
        "relu": { relu($0) }, "gelu": { gelu($0) }, "silu": { silu($0) }, "softplus": { softplus($0) }, "mish": { mish($0) },
        "hardswish": { hardswish($0) }, "hardsigmoid": { hardsigmoid($0) }, "elu": { elu($0) }, "selu": { selu($0) },
        "softsign": { softsign($0) }, "frac": { frac($0) }, "relu6": { relu6($0) }, "logit": { logit($0) },
    ]

    private static let binary: [String: @Sendable (Tensor, Tensor) -> Tensor] = [
        "add": { $0 + $1 }, "sub": { $0 - $1 }, "mul": { $0 * $1 }, "div": { $0 / $1 }, "pow": { pow($0, $1) },
        "maximum": { maximum($0, $1) }, "minimum": { minimum($0, $1) }, "fmax": { fmax($0, $1) }, "fmin": { fmin($0, $1) },
        "remainder": { remainder($0, $1) }, "fmod": { fmod($0, $1) }, "floorDivide": { floorDivide($0, $1) },
        "atan2": { atan2($0, $1) }, "hypot": { hypot($0, $1) }, "copySign": { copySign($0, $1) },
        "nextAfter": { nextAfter($0, $1) },
        "logAddExp": { logAddExp($0, $1) }, "logAddExp2": { logAddExp2($0, $1) }, "heaviside": { heaviside($0, $1) },
        "less": { $0 .< $1 }, "equal": { $0 .== $1 }, "xlogy": { xlogy($0, $1) }, "xlog1py": { xlog1py($0, $1) },
        "and": { $0 .& $1 }, "or": { $0 .| $1 }, "xor": { $0 .^ $1 }, "gcd": { gcd($0, $1) },
    ]

    private func numbers(_ any: Any?) -> [Double] { (any as! [Any]).map { $0 as? String == "-0" ? -0.0 : GoldenFile.number($0) } }

    private func agree(_ name: String, _ a: Double, _ b: Double) -> Bool {
        if a.isNaN || b.isNaN { return a.isNaN && b.isNaN }
        // Of two zeros either may be the larger.
        if a == b { return a != 0 || a.sign == b.sign || ["fmax", "fmin", "elu", "selu"].contains(name) }
        return Swift.abs(a - b) <= 1e-12 * Swift.abs(b) + 1e-300
    }

    /// Where PyTorch gives NaN at -∞, or 0 far out, the library gives the limit, or the small number.
    private func isBetter(_ name: String, _ x: Double) -> Bool {
        (name == "gelu" && x < -5) || (name == "silu" && x == -.infinity)
    }

    @Test func oneNumber() throws {
        let table = try Goldens.json("special_values.json")
        let points = numbers(table["points"])
        for (name, any) in (table["unary"] as! [String: Any]).sorted(by: { $0.key < $1.key }) {
            let f = try #require(Self.unary[name], "\(name)")
            let results = f(Tensor(points, dtype: .float64)).scalars(Double.self)
            for (x, (y, z)) in zip(points, zip(results, numbers(any))) where !isBetter(name, x) {
                #expect(agree(name, y, z), "\(name)(\(x)) is \(y), expected \(z)")
            }
        }
    }

    @Test func twoNumbers() throws {
        let table = try Goldens.json("special_values.json")
        let points = numbers(table["pairs"])
        let a = Tensor(points, dtype: .float64).unsqueezed(1), b = Tensor(points, dtype: .float64)
        for (name, any) in (table["binary"] as! [String: Any]).sorted(by: { $0.key < $1.key }) {
            let f = try #require(Self.binary[name], "\(name)")
            let results = f(a, b).scalars(Double.self)
            for (i, (y, z)) in zip(results, numbers(any)).enumerated() {
                #expect(
                    agree(name, y, z), "\(name)(\(points[i / points.count]), \(points[i % points.count])) is \(y), expected \(z)")
            }
        }
    }

    /// Signs of remainders, rounding of quotients, division by zero (0, as NumPy), wrapping.
    @Test func integers() throws {
        let table = try Goldens.json("special_values.json")
        let points = numbers(table["integers"]).map(Int.init)
        for (type, dtype) in [("int64", DType.int64), ("int8", .int8)] {
            let a = Tensor(points, dtype: dtype).unsqueezed(1), b = Tensor(points, dtype: dtype)
            for (name, any) in (table[type] as! [String: Any]).sorted(by: { $0.key < $1.key }) {
                let f = try #require(Self.binary[name], "\(name)")
                let results = f(a, b).scalars(Int.self)
                for (i, (y, z)) in zip(results, numbers(any).map(Int.init)).enumerated() {
                    #expect(
                        y == z,
                        "\(name) of \(type)(\(points[i / points.count]), \(points[i % points.count])) is \(y), expected \(z)")
                }
            }
        }
    }

    /// Reductions of nothing, and of what is not a number.
    @Test func reductions() {
        let empty = Tensor(zeros: [0, 3])
        #expect(empty.sum(0).isEqual(to: Tensor(zeros: [3])) && empty.prod(0).isEqual(to: Tensor(ones: [3])))
        #expect(empty.mean(0).isNaN.all().item(Bool.self) && empty.variance(0).isNaN.all().item(Bool.self))
        #expect(empty.logSumExp(0).isNegativeInfinity.all().item(Bool.self))
        #expect(!empty.any().item(Bool.self) && empty.all().item(Bool.self))
        #expect(
            empty.sorted(axis: 0).values.shape == [0, 3] && empty.cumsum(axis: 0).shape == [0, 3]
                && empty.topK(0, axis: 0).values.shape == [0, 3])
        #expect(empty.unique().values.shape == [0] && empty.nonzero().shape == [0, 2])

        let x = Tensor([1.0, Double.nan, 3, -Double.infinity], dtype: .float64)
        #expect(
            x.max().isNaN.item(Bool.self) && x.min().isNaN.item(Bool.self) && x.argmax().item(Int.self) == 1
                && x.argmin().item(Int.self) == 1)
        #expect(
            x.sorted().values.scalars(Double.self).dropLast() == [-Double.infinity, 1, 3]
                && x.sorted().indices.scalars(Int.self) == [3, 0, 2, 1])
        #expect(x.sorted(descending: true).indices.scalars(Int.self) == [1, 2, 0, 3])
        #expect(x.topK(2).indices.scalars(Int.self) == [1, 2])
        #expect(x.median().isNaN.item(Bool.self) && x.nanMedian().item(Double.self) == 1)
        #expect(x.nanSum().item(Double.self) == -Double.infinity && Tensor([1.0, .nan]).nanMean().item(Float.self) == 1)
        #expect(x.cummax(axis: 0).indices.scalars(Int.self) == [0, 1, 1, 1])
        #expect(Tensor([-0.0, 0.0]).sorted().indices.scalars(Int.self) == [0, 1])
        #expect(Tensor([0.0, -0.0]).argmax().item(Int.self) == 0)
        #expect(Tensor([5.0]).variance().isNaN.item(Bool.self) && Tensor([5.0]).variance(correction: 0).item(Float.self) == 0)
    }
}
