// Trains a small classifier with nothing but `import Tapestry`; exits with an error if it has not learned.
import Tapestry

final class Classifier: Module {
    let hidden = Linear(2, 16)
    let output = Linear(16, 3)
    func callAsFunction(_ x: Tensor) -> Tensor { output(relu(hidden(x))) }
}

@main
struct Client {
    static func main() throws {
        manualSeed(7)
        // Three clusters around the corners of a triangle.
        let centres = Tensor([[0.0, 2], [-2, -1], [2, -1]])
        let labels = Tensor(integers: 0..<3, shape: [300])
        let points = centres.indexSelect(axis: 0, index: labels) + Tensor(normal: [300, 2], standardDeviation: 0.5)

        let model = Classifier()
        let optimizer = AdamW(model.parameters, learningRate: 1e-2)
        for step in 1...100 {
            let loss = crossEntropy(model(points), labels)
            optimizer.zeroGrad()
            loss.backward()
            optimizer.step()
            if step % 25 == 0 { print("step \(step)  loss \(loss.item(Float.self))") }
        }
        let accuracy = (model(points).argmax(axis: 1) .== labels).to(.float32).mean().item(Float.self)
        print("accuracy \(accuracy)")
        guard accuracy > 0.95 else { throw NotLearned(accuracy: accuracy) }
    }

    struct NotLearned: Error { let accuracy: Float }
}
