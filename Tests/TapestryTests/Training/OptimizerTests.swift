import Foundation
import Tapestry
import Testing

/// Update rules and schedules against their formulas; PyTorch's trajectories are in ``ConformanceTests``.
@Suite struct OptimizerTests {
    /// Warm-up then cosine, as the formula of Loshchilov and Hutter (2017) says.
    @Test func warmUpCosine() {
        let schedule = Schedule.warmUpCosine(warmUp: 10, steps: 110, minimum: 0.1)
        #expect(schedule(0, base: 2) > 0)
        #expect(Swift.abs(schedule(9, base: 2) - 2) < 0.21)
        #expect(Swift.abs(schedule(10, base: 2) - 2) < 1e-12)
        #expect(Swift.abs(schedule(60, base: 2) - (0.1 + 0.5 * 1.9)) < 1e-12)
        #expect(Swift.abs(schedule(110, base: 2) - 0.1) < 1e-12)
        #expect(Swift.abs(schedule(500, base: 2) - 0.1) < 1e-12)
    }

    /// SGD's exponential-average form: v ← β v + (1 - β) g.
    @Test func averagedMomentum() {
        let p = Parameter(Tensor([1.0], dtype: .float64))
        let optimizer = SGD.averaged([p], learningRate: 0.1, beta: 0.9)
        var v = 0.0
        var x = 1.0
        for step in 1...5 {
            p.grad = Tensor([Double(step)], dtype: .float64)
            optimizer.step()
            v = 0.9 * v + 0.1 * Double(step)
            x -= 0.1 * v
            #expect(Swift.abs(p.value.item(Double.self) - x) < 1e-12)
        }
    }
}
