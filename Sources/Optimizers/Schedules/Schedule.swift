import CoreTensor

/// A learning rate, and where a schedule cycles it a momentum, as a function of the step (from 0) and the rate a group started with.
///
/// Schedules are values: a position in training is one number, and any step can be asked for. They are put together with
/// ``then(_:after:)``, ``sequence(_:at:)`` and ``chained(_:)``. A rule that goes by a metric is ``ReduceOnPlateau``.
public struct Schedule: Sendable {
    let rate: @Sendable (_ step: Int, _ base: Double) -> Double
    /// The momentum of a step; nil leaves it alone.
    var momentumRule: (@Sendable (_ step: Int) -> Double)?
    /// For schedules that multiply the starting rate: by what.
    var factorRule: (@Sendable (_ step: Int) -> Double)?
    /// The rate of a step from the rate in force, in a chain with other schedules; nil: ``rate``, whatever is in force.
    var transition: (@Sendable (_ step: Int, _ current: Double, _ base: Double) -> Double)?
    /// What takes the starting rate's place when the schedule follows another; nil: the starting rate.
    var onset: (@Sendable (_ current: Double) -> Double)?

    /// A schedule of one's own.
    public init(_ rate: @escaping @Sendable (_ step: Int, _ base: Double) -> Double) { self.rate = rate }

    /// A factor of the starting rate of one's own (PyTorch's LambdaLR).
    public static func factor(_ factor: @escaping @Sendable (_ step: Int) -> Double) -> Schedule {
        Schedule { step, base in base * factor(step) }
    }

    /// A factor of the starting rate that in a chain changes the rate in force by its change from step to step.
    static func scaling(_ factor: @escaping @Sendable (_ step: Int) -> Double) -> Schedule {
        var schedule = Schedule.factor(factor)
        schedule.factorRule = factor
        schedule.transition = { step, current, _ in
            if step == 0 { return current * factor(0) }
            let before = factor(step - 1)
            return before == 0 ? current : current * (factor(step) / before)
        }
        return schedule
    }

    /// Times `factor(step)` at every step from 1 on (PyTorch's MultiplicativeLR).
    public static func product(_ factor: @escaping @Sendable (_ step: Int) -> Double) -> Schedule {
        let replay = Replay(first: { _ in 1 }, next: { step, current, _ in current * factor(step) })
        let total: @Sendable (Int) -> Double = { replay.value($0, base: 1) }
        var schedule = Schedule.factor(total)
        schedule.factorRule = total
        schedule.transition = { step, current, _ in step == 0 ? current : current * factor(step) }
        schedule.onset = { $0 * factor(0) }
        return schedule
    }

    /// The rate at `step` (from 0) of a group that started with the rate `base`.
    public func callAsFunction(_ step: Int, base: Double) -> Double { rate(step, base) }

    /// The momentum at `step`; nil if the schedule leaves it alone.
    public func momentum(_ step: Int) -> Double? { momentumRule?(step) }

    /// The starting rate throughout.
    public static let constant = Schedule.scaling { _ in 1 }

    // MARK: Putting together

    /// One schedule after another: `next` counts from 0 at step `steps`. Where only one of the two cycles momentum, it keeps
    /// still at that one's nearest value during the other.
    public func then(_ next: Schedule, after steps: Int) -> Schedule {
        let first = self
        var schedule = Schedule { step, base in
            if step < steps { return first.rate(step, base) }
            let start = steps > 0 ? next.onset?(first.rate(steps - 1, base)) : nil
            return next.rate(step - steps, start ?? base)
        }
        if first.momentumRule != nil || next.momentumRule != nil {
            let before = first.momentumRule ?? { _ in next.momentumRule!(0) }
            let after = next.momentumRule ?? { _ in first.momentumRule!(max(steps - 1, 0)) }
            schedule.momentumRule = { step in step < steps ? before(step) : after(step - steps) }
        }
        return schedule
    }

    /// Schedules one after another; `milestones`, one fewer, are the steps at which the next begins (PyTorch's SequentialLR).
    /// Traps on another number of milestones.
    public static func sequence(_ schedules: [Schedule], at milestones: [Int]) -> Schedule {
        if schedules.isEmpty || milestones.count != schedules.count - 1 {
            fail("Schedule.sequence", "\(schedules.count) schedules with \(milestones.count) milestones; needs one fewer")
        }
        if zip(milestones, milestones.dropFirst()).contains(where: { $0 > $1 }) || milestones.contains(where: { $0 < 0 }) {
            fail("Schedule.sequence", "milestones \(milestones); must rise from 0")
        }
        var whole = schedules[0]
        for (next, milestone) in zip(schedules.dropFirst(), milestones) { whole = whole.then(next, after: milestone) }
        return whole
    }

    /// Schedules that all act at every step, each on the rate that the one before leaves (PyTorch's ChainedScheduler): factors
    /// multiply; a schedule that sets the rate itself overrules those before it. The last one's momentum counts.
    public static func chained(_ schedules: [Schedule]) -> Schedule {
        if schedules.isEmpty { fail("Schedule.chained", "no schedules") }
        var whole: Schedule
        let factors = schedules.compactMap(\.factorRule)
        if factors.count == schedules.count {
            whole = .scaling { step in factors.reduce(1) { $0 * $1(step) } }
        } else {
            let next: @Sendable (Int, Double, Double) -> Double = { step, current, base in
                schedules.reduce(current) { $1.transition?(step, $0, base) ?? $1.rate(step, base) }
            }
            let replay = Replay(first: { next(0, $0, $0) }, next: next)
            whole = Schedule { step, base in replay.value(step, base: base) }
            whole.transition = next
        }
        whole.momentumRule = schedules.last { $0.momentumRule != nil }?.momentumRule
        return whole
    }
}

/// A sequence that is known step by step only: the last value asked for is kept, so that going on costs one step.
private final class Replay: @unchecked Sendable {
    private let first: @Sendable (_ base: Double) -> Double
    private let next: @Sendable (_ step: Int, _ current: Double, _ base: Double) -> Double
    private let lock = SpinLock()
    private var last: [Double: (step: Int, value: Double)] = [:]

    init(
        first: @escaping @Sendable (Double) -> Double, next: @escaping @Sendable (Int, Double, Double) -> Double
    ) {
        self.first = first
        self.next = next
    }

    func value(_ step: Int, base: Double) -> Double {
        var (at, value) = lock.withLock { last[base] } ?? (0, first(base))
        if at > step { (at, value) = (0, first(base)) }
        while at < step {
            at += 1
            value = next(at, value, base)
        }
        let (reached, result) = (at, value)
        lock.withLock { last[base] = (reached, result) }
        return result
    }
}
