import Tapestry
import Testing

/// The float32 kernels' own functions over their whole range, in units of the last place of the float64 result.
@Suite struct AccuracyTests {
    static let functions: [(name: String, range: ClosedRange<Double>, units: Double, call: @Sendable (Tensor) -> Tensor)] = [
        ("exp", -103...88.7, 4, { exp($0) }), ("log", 1e-38...3e38, 4, { log($0) }), ("tanh", -12...12, 5, { tanh($0) }),
        ("erf", -5...5, 4, { erf($0) }), ("sigmoid", -30...30, 6, { sigmoid($0) }), ("sin", -100...100, 4, { sin($0) }),
        ("sqrt", 0...1e10, 1, { sqrt($0) }), ("log1p", 0...100, 4, { log1p($0) }), ("expm1", -5...5, 4, { expm1($0) }),
    ]

    @Test(arguments: functions.indices) func units(_ index: Int) {
        let (name, range, limit, call) = Self.functions[index]
        let linear = Tensor(linspace: range.lowerBound, to: range.upperBound, count: 40_001)
        let small = linear * 1e-3
        for x in [linear, name == "log" ? linear : small] {
            let single = call(x).scalars(Double.self), double = call(x.to(.float64)).scalars(Double.self)
            var worst = 0.0
            for (a, b) in zip(single, double) where b.isFinite && Swift.abs(b) >= 1e-37 {
                worst = Swift.max(worst, Swift.abs(a - b) / Double(Float(b).ulp))
            }
            #expect(worst <= limit, "\(name): \(worst) units in the last place")
        }
    }
}
