// How far back does learning reach? The gradient of a loss at the last of 30 steps with respect to the input of every step, for an RNN whose
// gradients vanish, one whose gradients explode, and an LSTM; as a table and as an SVG chart.
import Foundation
import Tapestry

@main
struct VanishingGradients {
    static func main() throws {
        let path = CommandLine.arguments.dropFirst().first ?? "vanishing-gradients.svg"
        let lines = gradientNorms(steps: 30)
        print("gradient of the last step's loss with respect to the input of step t")
        print("  t  " + lines.map { String(repeating: " ", count: max(22 - $0.name.count, 1)) + $0.name }.joined())
        for step in stride(from: 0, to: 30, by: 3) + [29] {
            print(String(format: "%3d  ", step + 1) + lines.map { String(format: "%22.3e", $0.norms[step]) }.joined())
        }
        try chart(lines).write(path)
        print("the chart is in \(path)")
    }

    struct Line {
        let name: String
        /// The norm of the gradient at each step's input.
        let norms: [Double]
    }

    /// The three networks' gradients.
    static func gradientNorms(steps: Int, hidden: Int = 32) -> [Line] {
        let generator = RandomGenerator(seed: 3)
        let x = Tensor(normal: [steps, 16, 8], generator: generator), target = Tensor(normal: [16, hidden], generator: generator)
        func norms(_ run: (Tensor) -> Tensor) -> [Double] {
            let input = x.asLeaf()
            let loss = mseLoss(run(input)[-1], target)
            let gradient = gradients(of: [loss], withRespectTo: [input])[0]!
            return (0..<steps).map { sqrt((gradient[$0] * gradient[$0]).sum()).item(Double.self) }
        }
        // PyTorch's initial weights: uniform in ±1/√hidden, whose product with itself shrinks.
        let plain = RNN(8, hidden, generator: generator)
        // The same with recurrent weights four times as large, and no tanh to hold them back.
        let large = RNN(8, hidden, nonlinearity: .relu, generator: generator)
        large.directions[0].stateWeight.value = large.directions[0].stateWeight.value * 4
        // The cell's path is a product of forget gates, which a bias of 2 holds open (Gers et al., 2000; Jozefowicz et al., 2015).
        let lstm = LSTM(8, hidden, generator: generator)
        var bias = lstm.directions[0].inputBias!.value.detached()
        bias[hidden..<(2 * hidden)] = Tensor(repeating: 2, shape: [hidden], dtype: .float32)
        lstm.directions[0].inputBias!.value = bias
        return [
            Line(name: "RNN (tanh)", norms: norms { plain($0).output }),
            Line(name: "RNN (ReLU, 4 W)", norms: norms { large($0).output }),
            Line(name: "LSTM", norms: norms { lstm($0).output }),
        ]
    }

    static func chart(_ lines: [Line]) -> LineChart {
        var chart = LineChart(
            title: "Gradient of the last step's loss at the input of each step", xLabel: "step", yLabel: "norm",
            isLogarithmic: true)
        for line in lines { chart.add(line.name, line.norms.enumerated().map { (Double($0.offset + 1), $0.element) }) }
        return chart
    }
}
