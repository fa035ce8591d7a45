import Foundation
import Tapestry
import Testing

/// What the golden schedules do not reach: states, momentum of other optimizers, putting together.
@Suite struct ScheduleTests {
    private func optimizer(_ rate: Double = 0.1) -> SGD {
        SGD([Parameter(Tensor(zeros: [1]))], learningRate: rate, momentum: 0.9)
    }

    @Test func aStepIsTheWholeState() {
        let schedules: [Schedule] = [
            .chained([.linear(from: 0.1, steps: 10), .cosineAnnealing(steps: 12, minimum: 0.01)]),
            .product { $0 % 2 == 1 ? 0.9 : 0.99 }, .oneCycle(maximum: 1, steps: 40), .cyclic(from: 0.1, to: 1, up: 3),
            .sequence([.warmUp(steps: 5), .exponential(factor: 0.9), .constant], at: [5, 20]),
        ]
        for schedule in schedules {
            let a = optimizer(), whole = LearningRateScheduler(a, schedule)
            for _ in 0..<23 { whole.advance() }
            let b = optimizer(), resumed = LearningRateScheduler(b, schedule)
            resumed.step = 23
            #expect(a.learningRate == b.learningRate && a.groups[0].momentum == b.groups[0].momentum)
            resumed.step = 7
            whole.step = 7
            #expect(a.learningRate == b.learningRate)
        }
    }

    /// Adam's β₁ is what a schedule of momentum moves.
    @Test func momentumOfAdam() {
        let adam = Adam([Parameter(Tensor(zeros: [1]))])
        let scheduler = LearningRateScheduler(adam, .cyclic(from: 0.01, to: 0.1, up: 4, momentum: (0.8, 0.95)))
        #expect(adam.groups[0].momentum == 0.95)
        scheduler.step = 4
        #expect(Swift.abs(adam.groups[0].momentum! - 0.8) < 1e-12 && Swift.abs(adam.learningRate - 0.1) < 1e-12)
    }

    @Test func aScheduleForEachGroup() {
        let optimizer = SGD(
            [ParameterGroup([Parameter(Tensor(zeros: [1]))]), ParameterGroup([Parameter(Tensor(zeros: [1]))], learningRate: 2)],
            learningRate: 1)
        let scheduler = LearningRateScheduler(optimizer, [.step(every: 1, factor: 0.5), .constant])
        scheduler.advance()
        #expect(optimizer.groups.map(\.learningRate) == [0.5, 2])
    }

    @Test func plateauResumes() throws {
        let metrics = [1.0, 0.9, 0.95, 0.95, 0.95, 0.5, 0.6, 0.6, 0.6, 0.6]
        func run(_ stop: Int?) throws -> Double {
            var optimizer = optimizer()
            var plateau = ReduceOnPlateau(optimizer, factor: 0.5, patience: 1, cooldown: 1)
            for (step, metric) in metrics.enumerated() {
                if step == stop {
                    let saved = try JSONEncoder().encode(plateau.state), rate = optimizer.learningRate
                    optimizer = self.optimizer()
                    optimizer.learningRate = rate
                    plateau = ReduceOnPlateau(optimizer, factor: 0.5, patience: 1, cooldown: 1)
                    plateau.state = try JSONDecoder().decode(ReduceOnPlateau.State.self, from: saved)
                }
                plateau.advance(metric)
            }
            return optimizer.learningRate
        }
        let whole = try run(nil)
        #expect(whole < 0.1)
        for stop in metrics.indices { #expect(try run(stop) == whole) }
    }

    /// A warm-up, a plateau and a decay; weight averaging's rate after a schedule of its own.
    @Test func plateausAndAveraging() {
        let wsd = Schedule.warmUpStableDecay(warmUp: 4, stable: 6, decay: 10, decayShape: .linear, minimum: 0.1)
        #expect(wsd(2, base: 1) == 0.55 && wsd(7, base: 1) == 1 && wsd(10, base: 1) == 1)
        #expect(Swift.abs(wsd(15, base: 2) - 1.1) < 1e-12 && wsd(30, base: 2) == 0.2)
        let swa = Schedule.exponential(factor: 0.9).annealed(to: 0.05, after: 10, over: 4, .linear)
        let start = pow(0.9, 10.0)
        #expect(swa(10, base: 1) == start && Swift.abs(swa(14, base: 1) - 0.05) < 1e-12 && swa(99, base: 1) == swa(14, base: 1))
        #expect(Swift.abs(swa(12, base: 1) - (start + 0.05) / 2) < 1e-12)
    }
}
