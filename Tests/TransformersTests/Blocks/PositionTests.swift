import Tapestry
import Testing

@Suite struct PositionTests {
    /// The worked values of position 1, with a base of 10,000 and 8 features.
    @Test func sinusoids() {
        let positions = SinusoidalPositions(length: 128, model: 8)
        let row = positions.table.value[1].scalars(Double.self)
        for (a, b) in zip(row, [0.841, 0.540, 0.100, 0.995, 0.010, 1, 0.001, 1]) { #expect(abs(a - b) < 5e-4) }
        let far = positions.table.value[100].scalars(Double.self)
        #expect(abs(far[2] + 0.544) < 5e-4 && abs(far[3] + 0.839) < 5e-4)
        #expect(positions.parameters.isEmpty && positions.stateDict.count == 1)
        let x = Tensor(zeros: [2, 3, 8])
        #expect(positions(x, start: 100)[1, 0].isClose(to: positions.table.value[100]))
    }

    /// Learned positions get the sum of the batch as their gradient.
    @Test func learned() {
        let positions = LearnedPositions(length: 6, model: 4)
        positions(Tensor(zeros: [3, 2, 4]), start: 1).sum().backward()
        let gradient = positions.table.grad!.sum(1).scalars(Float.self)
        #expect(gradient == [0, 12, 12, 0, 0, 0])
    }

    /// log Σ e⁰ of n classes is ln n.
    @Test func zLossOfEvenLogits() {
        let logits = Tensor(zeros: [2, 3, 5], requiresGrad: true)
        let loss = zLoss(logits, coefficient: 0.5)
        let size = 1.6094379124341003
        #expect(abs(loss.item(Double.self) - 0.5 * size * size) < 1e-6)
        loss.backward()
        #expect(logits.grad!.isClose(to: Tensor(repeating: 0.5 * 2 * size / 5 / 6, shape: [2, 3, 5]), rtol: 1e-5, atol: 1e-7))
    }

    /// down(silu(gate(x)) · up(x)), and the same by its parts for an activation that has no fused form.
    @Test(arguments: [FeedForwardActivation.silu, .geluTanh, .reluSquared]) func gated(_ activation: FeedForwardActivation) {
        let layer = GatedFeedForward(model: 4, hidden: 6, activation: activation, weights: .normal(deviation: 0.7))
        let x = Tensor(normal: [2, 3, 4])
        #expect(layer(x).isClose(to: layer.down(activation(layer.gate(x)) * layer.up(x)), rtol: 1e-5, atol: 1e-6))
    }

    @Test func activationNames() {
        for activation in FeedForwardActivation.allCases {
            #expect(FeedForwardActivation(huggingFaceName: activation.huggingFaceName) == activation)
        }
        #expect(FeedForwardActivation(huggingFaceName: "rm -rf") == nil)
        let x = Tensor([-2.0, -0.5, 0, 0.5, 8])
        let expected: [FeedForwardActivation: [Double]] = [
            .gelu: [-0.04550026389635842, -0.15426877, 0, 0.34573123, 8], .relu6: [0, 0, 0, 0.5, 6],
            .reluSquared: [0, 0, 0, 0.25, 64],
            .quickGELU: [-0.06434137, -0.14961156, 0, 0.35038844, 7.99999046], .identity: [-2, -0.5, 0, 0.5, 8],
        ]
        for (activation, values) in expected {
            #expect(activation(x).isClose(to: Tensor(values), rtol: 1e-4, atol: 1e-5), "\(activation)")
        }
    }
}
