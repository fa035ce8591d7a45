import Tapestry

/// Losses written out of operators, with the gradients of their inputs.
enum ComposedLossRunner {
    @Sendable static func run(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let inputs = try (item["inputs"] as! [String: Any]).mapValues { any -> Tensor in
            let tensor = try file.tensor(any)
            return tensor.dtype.isFloatingPoint ? tensor.asLeaf() : tensor
        }
        func input(_ name: String) throws -> Tensor {
            guard let tensor = inputs[name] else { throw Unsupported("no input \(name)") }
            return tensor
        }
        let name = item["name"] as! String
        let loss: Tensor
        switch name.split(separator: "/").dropFirst().first.map(String.init) ?? name {
        case "sgns": loss = negativeSamplingLoss(try input("v"), try input("u"), try input("n"))
        case "infonce": loss = infoNCE(try input("a"), try input("b"))
        case "skipgram_full":
            // The case leaves out its pairs; its gradients are those of these four and of no others.
            let centers = Tensor([0, 3, 3, 8]), contexts = Tensor([1, 2, 8, 0])
            loss = crossEntropy(matmul(try input("E").indexSelect(axis: 0, index: centers), try input("W").T), contexts)
        case "gp":
            let x = try input("x")
            let score = matmul(tanh(matmul(x, try input("W"))), try input("v")).sum()
            let slope = gradients(of: [score], withRespectTo: [x], createGraph: true)[0]!
            loss = square(sqrt(square(slope).sum(-1)) - 1).mean()
        default: throw Unsupported("loss \(name)")
        }
        if let wrong = mismatch(loss, try file.tensor(item["loss"])) { return "loss: \(wrong)" }
        let wanted = item["grads"] as! [String: Any], names = wanted.keys.sorted()
        let found = gradients(of: [loss], withRespectTo: try names.map(input))
        for (name, gradient) in zip(names, found) {
            let expected = try file.tensor(wanted[name])
            let actual = gradient ?? Tensor(zerosLike: expected)
            if let wrong = mismatch(actual, expected, .standard(expected.dtype, .gradients)) {
                return "gradient of \(name): \(wrong)"
            }
        }
        return nil
    }
}
