import Tapestry
import TestSupport

/// One operation of the catalogue: what to call it with, and what is true of it. Every check runs from this row.
package struct OpRow: Sendable, CustomStringConvertible {
    package let name: String
    /// Lists of arguments to try, sizes 0 and rank 0 among them.
    package let samples: [[Operand]]
    package let reference: Reference
    /// Types, beside float64, whose result must agree with float64's on the same numbers.
    package var types: [DType] = [.float32, .float16, .bfloat16]
    /// Integer types that the operation takes, with results equal to float64's.
    package var integerTypes: [DType] = []
    /// How often it can be differentiated.
    package var orders = 2
    /// Largest error in units of the standard tolerance of the type, where rounding piles up.
    package var slack = 1.0
    /// False for operations whose result's shape depends on the elements: they have no place in `vmap`.
    package var isBatchable = true
    /// Whether the rows of ``OpCatalog/complexNumbers`` check it with complex numbers too.
    package var takesComplex: Bool { OpCatalog.complexNumbers.contains { $0.name == "\(name) of complex numbers" } }
    package let call: @Sendable ([Tensor]) -> Tensor

    package var description: String { name }

    package enum Reference: Sendable {
        /// Elementwise with broadcasting.
        case elements(@Sendable ([Double]) -> Double)
        case arrays(@Sendable ([ReferenceArray]) -> ReferenceArray)
        /// PyTorch's samples of the named operators, run by the golden tests.
        case golden(String)
    }

    package init(
        _ name: String, _ samples: [[Operand]], _ reference: Reference, types: [DType] = [.float32, .float16, .bfloat16],
        integers: [DType] = [], orders: Int = 2, slack: Double = 1, batchable: Bool = true,
        _ call: @escaping @Sendable ([Tensor]) -> Tensor
    ) {
        isBatchable = batchable
        self.name = name
        self.samples = samples
        self.reference = reference
        self.types = types
        integerTypes = integers
        self.orders = orders
        self.slack = slack
        self.call = call
    }

    /// The arguments of a sample, the same in every run; others of the same kind for another `draw`.
    package func inputs(_ sample: Int, draw: Int = 0) -> [Tensor] {
        var seed: UInt64 = 14_695_981_039_346_656_037
        for byte in name.utf8 { seed = (seed ^ UInt64(byte)) &* 1_099_511_628_211 }
        let generator = RandomGenerator(seed: seed &+ UInt64(sample + 1000 * draw))
        return samples[sample].map { $0.make(generator) }
    }

    package func wanted(_ sample: Int) -> [Bool] { samples[sample].map(\.isDifferentiable) }
}

/// An argument to draw.
package struct Operand: Sendable {
    package enum Domain: Sendable {
        case uniform(ClosedRange<Double>)
        /// At least `gap` away from 0, to keep clear of a kink or pole.
        case awayFromZero(gap: Double, to: Double)
        /// All different, at least 0.1 apart, in random order.
        case distinct
        case integers(Range<Int>)
        case boolean
    }
    package let shape: [Int]
    package let domain: Domain

    package static func real(_ shape: [Int], _ range: ClosedRange<Double> = -2...2) -> Operand {
        Operand(shape: shape, domain: .uniform(range))
    }
    package static func nonzero(_ shape: [Int], gap: Double = 0.2, to limit: Double = 2) -> Operand {
        Operand(shape: shape, domain: .awayFromZero(gap: gap, to: limit))
    }
    package static func distinct(_ shape: [Int]) -> Operand { Operand(shape: shape, domain: .distinct) }
    package static func integers(_ shape: [Int], _ range: Range<Int>) -> Operand {
        Operand(shape: shape, domain: .integers(range))
    }
    package static func boolean(_ shape: [Int]) -> Operand { Operand(shape: shape, domain: .boolean) }

    package var isDifferentiable: Bool {
        switch domain {
        case .integers, .boolean: false
        default: true
        }
    }

    package func make(_ generator: RandomGenerator) -> Tensor {
        let count = shape.reduce(1, *)
        switch domain {
        case .uniform(let range):
            return Tensor(
                uniform: shape, low: range.lowerBound, high: range.upperBound, dtype: .float64, generator: generator)
        case .awayFromZero(let gap, let limit):
            let size = Tensor(uniform: shape, low: gap, high: limit, dtype: .float64, generator: generator)
            let side = Tensor(integers: 0..<2, shape: shape, generator: generator).to(.float64) * 2 - 1
            return size * side
        case .distinct:
            let order = Tensor(permutation: count, generator: generator).to(.float64)
            return (order * 0.1 - Double(count) * 0.05 + 0.017).reshaped(shape)
        case .integers(let range):
            return Tensor(integers: range, shape: shape, generator: generator)
        case .boolean:
            return Tensor(integers: 0..<2, shape: shape, generator: generator).to(.bool)
        }
    }
}
