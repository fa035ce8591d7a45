import CoreTensor

/// Sets an optimizer's learning rates, and momenta where the schedule cycles them, by a schedule.
public final class LearningRateScheduler {
    private let optimizer: Optimizer
    /// The rules that ``step`` is put into, one for each group.
    public let schedules: [Schedule]
    /// The rule of the first group.
    public var schedule: Schedule { schedules[0] }
    /// The step whose rates are in force. Setting it moves there, as when training is resumed: it is the whole state.
    public var step: Int { didSet { apply() } }

    /// Puts the rates of step 0 in force. Traps on a schedule of momentum for an optimizer without one.
    public convenience init(_ optimizer: Optimizer, _ schedule: Schedule) {
        self.init(optimizer, Array(repeating: schedule, count: max(optimizer.groups.count, 1)))
    }

    /// The same with a schedule for each group. Traps on another number of schedules than groups.
    public init(_ optimizer: Optimizer, _ schedules: [Schedule]) {
        if schedules.count != max(optimizer.groups.count, 1) {
            fail("LearningRateScheduler", "\(schedules.count) schedules for \(optimizer.groups.count) groups")
        }
        for (schedule, group) in zip(schedules, optimizer.groups) where schedule.momentumRule != nil && group.momentum == nil {
            fail("LearningRateScheduler", "the schedule cycles momentum, which the optimizer has not; give it momentum: nil")
        }
        self.optimizer = optimizer
        self.schedules = schedules
        step = 0
        apply()
    }

    /// Moves to the next step: call it after `optimizer.step()`.
    public func advance() { step += 1 }

    private func apply() {
        for (i, schedule) in zip(optimizer.groups.indices, schedules) {
            optimizer.groups[i].learningRate = schedule(step, base: optimizer.groups[i].initialLearningRate)
            if let momentum = schedule.momentum(step) { optimizer.groups[i].momentum = momentum }
        }
    }
}
