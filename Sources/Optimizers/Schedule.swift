import CoreTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A learning rate as a function of the step (from 0) and the rate a group started with.
public struct Schedule: Sendable {
    let rate: @Sendable (_ step: Int, _ base: Double) -> Double

    /// A schedule of one's own.
    public init(_ rate: @escaping @Sendable (_ step: Int, _ base: Double) -> Double) { self.rate = rate }

    /// The rate at `step` (from 0) of a group that started with the rate `base`.
    public func callAsFunction(_ step: Int, base: Double) -> Double { rate(step, base) }

    /// The starting rate throughout.
    public static let constant = Schedule { _, base in base }

    /// From `start` to `end` times the starting rate in `steps` steps, in equal steps, then `end` (PyTorch's LinearLR).
    public static func linear(from start: Double, to end: Double, steps: Int) -> Schedule {
        Schedule { step, base in
            let t = steps > 0 ? min(Double(step) / Double(steps), 1) : 1
            return base * (start + (end - start) * t)
        }
    }

    /// A warm-up: step 0 has 1/steps of the rate, step `steps - 1` all of it.
    public static func warmUp(steps: Int) -> Schedule {
        Schedule { step, base in steps > 0 ? base * min(Double(step + 1) / Double(steps), 1) : base }
    }

    /// Half a cosine from the starting rate to `minimum` in `steps` steps (Loshchilov and Hutter, 2017), then `minimum`.
    public static func cosine(steps: Int, minimum: Double = 0) -> Schedule {
        Schedule { step, base in
            let t = steps > 0 ? min(Double(step) / Double(steps), 1) : 1
            return minimum + (base - minimum) * (1 + cos(.pi * t)) / 2
        }
    }

    /// Times `factor` every `interval` steps (PyTorch's StepLR).
    public static func step(every interval: Int, factor: Double = 0.1) -> Schedule {
        if interval < 1 { fail("Schedule.step", "an interval of \(interval) steps") }
        return Schedule { step, base in base * pow(factor, Double(step / interval)) }
    }

    /// Times `factor` at each of the given steps (PyTorch's MultiStepLR).
    public static func steps(at milestones: [Int], factor: Double = 0.1) -> Schedule {
        Schedule { step, base in base * pow(factor, Double(milestones.count { $0 <= step })) }
    }

    /// Times `factor` every step (PyTorch's ExponentialLR).
    public static func exponential(factor: Double) -> Schedule {
        Schedule { step, base in base * pow(factor, Double(step)) }
    }

    /// One schedule after another: `next` counts from 0 at step `steps`.
    public func then(_ next: Schedule, after steps: Int) -> Schedule {
        Schedule { step, base in step < steps ? rate(step, base) : next.rate(step - steps, base) }
    }

    /// A linear warm-up, then a cosine to `minimum` at `steps`: the usual schedule of transformers.
    public static func warmUpCosine(warmUp warmUpSteps: Int, steps: Int, minimum: Double = 0) -> Schedule {
        warmUp(steps: warmUpSteps).then(.cosine(steps: max(steps - warmUpSteps, 1), minimum: minimum), after: warmUpSteps)
    }
}

/// Sets an optimizer's learning rates by a schedule.
public final class LearningRateScheduler {
    private let optimizer: Optimizer
    /// The rule that ``step`` is put into.
    public let schedule: Schedule
    /// The step whose rates are in force. Setting it moves there, as when training is resumed.
    public var step: Int { didSet { apply() } }

    /// Puts the rates of step 0 in force.
    public init(_ optimizer: Optimizer, _ schedule: Schedule) {
        self.optimizer = optimizer
        self.schedule = schedule
        step = 0
        apply()
    }

    /// Moves to the next step: call it after `optimizer.step()`.
    public func advance() { step += 1 }

    private func apply() {
        for i in optimizer.groups.indices {
            optimizer.groups[i].learningRate = schedule(step, base: optimizer.groups[i].initialLearningRate)
        }
    }
}
