import CoreTensor

/// Rates that go one way, and cosines.
extension Schedule {
    /// `factor` times the starting rate for `steps` steps, then the starting rate (PyTorch's ConstantLR).
    public static func scaled(by factor: Double = 1.0 / 3, steps: Int = 5) -> Schedule {
        if !(0...1).contains(factor) { fail("Schedule.scaled", "a factor of \(factor); must be in 0 ... 1") }
        return .scaling { $0 < steps ? factor : 1 }
    }

    /// From `start` to `end` times the starting rate in `steps` steps, in equal steps, then `end` (PyTorch's LinearLR).
    public static func linear(from start: Double = 1.0 / 3, to end: Double = 1, steps: Int = 5) -> Schedule {
        .scaling { step in start + (end - start) * (steps > 0 ? min(Double(step) / Double(steps), 1) : 1) }
    }

    /// (1 - t / steps)^`power` times the starting rate, 0 from `steps` on (PyTorch's PolynomialLR).
    public static func polynomial(steps: Int = 5, power: Double = 1) -> Schedule {
        if steps < 1 { fail("Schedule.polynomial", "\(steps) steps") }
        return .scaling { step in pow(1 - Double(min(step, steps)) / Double(steps), power) }
    }

    /// Times `factor` every `interval` steps (PyTorch's StepLR).
    public static func step(every interval: Int, factor: Double = 0.1) -> Schedule {
        if interval < 1 { fail("Schedule.step", "an interval of \(interval) steps") }
        return .scaling { pow(factor, Double($0 / interval)) }
    }

    /// Times `factor` at each of the given steps, twice at one given twice (PyTorch's MultiStepLR).
    public static func steps(at milestones: [Int], factor: Double = 0.1) -> Schedule {
        .scaling { step in pow(factor, Double(milestones.count { $0 <= step })) }
    }

    /// Times `factor` every step (PyTorch's ExponentialLR).
    public static func exponential(factor: Double) -> Schedule { .scaling { pow(factor, Double($0)) } }

    /// Half a cosine from the starting rate to `minimum` in `steps` steps (Loshchilov and Hutter, 2017), then `minimum`.
    public static func cosine(steps: Int, minimum: Double = 0) -> Schedule {
        Schedule { step, base in
            let t = steps > 0 ? min(Double(step) / Double(steps), 1) : 1
            return minimum + (base - minimum) * (1 + cos(.pi * t)) / 2
        }
    }

    /// A cosine from the starting rate to `minimum` in `steps` steps, back in as many, and so on (PyTorch's CosineAnnealingLR).
    public static func cosineAnnealing(steps: Int, minimum: Double = 0) -> Schedule {
        if steps < 1 { fail("Schedule.cosineAnnealing", "\(steps) steps") }
        let height: @Sendable (Int) -> Double = { 1 + cos(.pi * Double($0) / Double(steps)) }
        var schedule = Schedule { step, base in minimum + (base - minimum) * height(step) / 2 }
        schedule.transition = { step, current, base in
            if step == 0 { return current }
            // From the bottom there is no ratio to go by.
            if (step - 1 - steps) % (2 * steps) == 0 {
                return current + (base - minimum) * (1 - cos(.pi / Double(steps))) / 2
            }
            return height(step) / height(step - 1) * (current - minimum) + minimum
        }
        return schedule
    }

    /// From the rate in force at step `start` to `rate` in `steps` steps, along half a cosine or a line, then `rate`: the schedule
    /// of stochastic weight averaging (Izmailov et al., 2018; PyTorch's SWALR).
    public func annealed(to rate: Double, after start: Int, over steps: Int = 10, _ anneal: Anneal = .cosine) -> Schedule {
        let first = self
        if steps < 0 { fail("Schedule.annealed", "\(steps) steps") }
        var schedule = Schedule { step, base in
            if step < start { return first.rate(step, base) }
            let t = steps == 0 ? 1 : min(Double(step - start) / Double(steps), 1)
            return anneal(from: first.rate(start, base), to: rate, t)
        }
        schedule.momentumRule = first.momentumRule
        return schedule
    }

    /// The way from one value to another.
    public enum Anneal: String, Sendable {
        /// Half a cosine: slow at both ends.
        case cosine
        /// In equal steps.
        case linear

        func callAsFunction(from start: Double, to end: Double, _ t: Double) -> Double {
            switch self {
            case .cosine: end + (start - end) / 2 * (cos(.pi * t) + 1)
            case .linear: start + (end - start) * t
            }
        }
    }
}
