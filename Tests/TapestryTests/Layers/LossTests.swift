import ConformanceSuite
import Foundation
import Tapestry
import TestSupport
import Testing

@Suite struct LossTests {
    @Test func ignoredLabels() {
        let logits = Tensor(normal: [4, 3], dtype: .float64, generator: RandomGenerator(seed: 41)).asLeaf()
        let labels = Tensor([0, -100, 2, -100])
        let loss = crossEntropy(logits, labels)
        #expect(loss.isClose(to: crossEntropy(logits[TensorIndex.every(2)], Tensor([0, 2]))))
        loss.backward()
        #expect(logits.grad![1].scalars(Double.self) == [0, 0, 0])
        #expect(crossEntropy(logits, Tensor([-100, -100, -100, -100])).item(Double.self).isNaN)
        let sum = crossEntropy(logits, Tensor([0, 1, 2, 1]), ignoreIndex: 1, reduction: .sum)
        #expect(sum.isClose(to: crossEntropy(logits, labels, reduction: .sum)))
    }

    /// Images: classes on axis 1, as PyTorch has them.
    @Test func classesOnAnotherAxis() {
        let generator = RandomGenerator(seed: 42)
        let logits = Tensor(normal: [2, 5, 3, 4], generator: generator)
        let labels = Tensor(integers: 0..<5, shape: [2, 3, 4], generator: generator)
        let expected = crossEntropy(logits.permuted(0, 2, 3, 1), labels)
        #expect(crossEntropy(logits, labels, classAxis: 1).isClose(to: expected))
        #expect(nllLoss(logSoftmax(logits, axis: 1), labels, classAxis: 1).isClose(to: expected))
    }

    /// Rows, spatial axes and one row; weights, ignored labels, smoothing: all agree with the same labels as probabilities.
    @Test func probabilitiesAsTargets() {
        let generator = RandomGenerator(seed: 43)
        let logits = Tensor(normal: [2, 5, 3], dtype: .float64, generator: generator)
        let labels = Tensor(integers: 0..<5, shape: [2, 3], generator: generator)
        let oneHot = Tensor(oneHot: labels, classes: 5, dtype: .float64).permuted(0, 2, 1)
        let weight = Tensor([0.5, 1, 2, 0.25, 3], dtype: .float64)
        for reduction in [Reduction.none, .sum] {
            for smoothing in [0.0, 0.3] {
                let a = crossEntropy(
                    logits, labels, weight: weight, labelSmoothing: smoothing, reduction: reduction, classAxis: 1)
                let b = crossEntropy(
                    logits, oneHot, weight: weight, labelSmoothing: smoothing, reduction: reduction, classAxis: 1)
                #expect(smoothing > 0 || a.isClose(to: b, rtol: 1e-12))
                #expect(a.shape == b.shape)
            }
        }
        #expect(crossEntropy(logits, labels, classAxis: 1).isClose(to: crossEntropy(logits, oneHot, classAxis: 1), rtol: 1e-12))
    }

    /// PyTorch's own numbers of the weighted mean, by hand: Σ w_y l / Σ w_y over the labels that count.
    @Test func weightedMean() {
        let logs = logSoftmax(Tensor([[1.0, 2, 0.5], [0, -1, 1], [2, 2, 2]], dtype: .float64))
        let weight = Tensor([1.0, 2, 4], dtype: .float64), labels = Tensor([1, 2, 0])
        let l = nllLoss(logs, labels, reduction: .none).scalars(Double.self)
        let found = nllLoss(logs, labels, weight: weight).item(Double.self)
        #expect(Swift.abs(found - (2 * l[0] + 4 * l[1] + l[2]) / 7) < 1e-12)
        let two = nllLoss(logs, labels, weight: weight, ignoreIndex: 0).item(Double.self)
        #expect(Swift.abs(two - (2 * l[0] + 4 * l[1]) / 6) < 1e-12)
        let infinite = nllLoss(Tensor([[-Double.infinity, 0]]), Tensor([0]), ignoreIndex: 0, reduction: .sum)
        #expect(infinite.item(Double.self) == 0)
    }

    @Test func sequencesThatDoNotFit() {
        let x = Tensor(normal: [3, 2, 4], dtype: .float64, generator: RandomGenerator(seed: 44)).asLeaf()
        // Two equal labels need a blank between them: three steps at least.
        let targets = Tensor([[1, 1], [2, 3]])
        func loss(_ zero: Bool) -> Tensor {
            ctcLoss(
                logSoftmax(x), targets, inputLengths: [2, 3], targetLengths: [2, 2], reduction: .none, zeroInfinity: zero)
        }
        #expect(loss(false)[0].item(Double.self) == .infinity)
        let kept = loss(true)
        #expect(kept[0].item(Double.self) == 0 && kept[1].item(Double.self) > 0)
        kept.sum().backward()
        #expect(x.grad![TensorIndex.all, 0].isEqual(to: Tensor(zeros: [3, 4], dtype: .float64)))
        #expect(x.grad!.isFinite.all().item(Bool.self))
    }

    /// A labelling's likelihood is the sum over all paths; of all labellings together it is 1.
    @Test func alignmentsAddUp() {
        let x = logSoftmax(Tensor(normal: [3, 3], dtype: .float64, generator: RandomGenerator(seed: 45)))
        var total = 0.0
        for first in 0..<3 {
            for second in 0..<3 {
                for third in 0..<3 {
                    // Labels 1 and 2, 0 ends the sequence: every sequence once.
                    let labels = [first, second, third].prefix { $0 > 0 }
                    if ([first, second, third].dropFirst(labels.count).contains { $0 > 0 }) { continue }
                    let targets = labels.isEmpty ? Tensor(zeros: [0], dtype: .int64) : Tensor(Array(labels))
                    let loss = ctcLoss(
                        x, targets, inputLengths: [3], targetLengths: [labels.count], reduction: .none)
                    total += exp(-loss.item(Double.self))
                }
            }
        }
        #expect(Swift.abs(total - 1) < 1e-12)
    }

    @Test func information() {
        let fair = Tensor([0.5, 0.5], dtype: .float64), sure = Tensor([1.0, 0], dtype: .float64)
        func value(_ x: Tensor) -> Double { x.item(Double.self) }
        #expect(value(entropy(fair, in: .bits)) == 1 && value(entropy(sure)) == 0)
        #expect(value(jensenShannonDivergence(sure, Tensor([0.0, 1], dtype: .float64), in: .bits)) == 1)
        #expect(value(klDivergence(of: sure, from: fair, in: .bits)) == 1)
        #expect(value(klDivergence(of: fair, from: sure)) == .infinity)
        #expect(Swift.abs(value(crossEntropy(of: fair, relativeTo: fair)) - log(2.0)) < 1e-15)
        let independent = Tensor([[0.25, 0.25], [0.25, 0.25]], dtype: .float64)
        #expect(Swift.abs(value(mutualInformation(independent))) < 1e-15)
        #expect(Swift.abs(value(mutualInformation(Tensor([[0.5, 0], [0, 0.5]], dtype: .float64), in: .bits)) - 1) < 1e-12)
        #expect(Swift.abs(value(informationGain(Tensor([[4, 0], [0, 4]]))) - 1) < 1e-12)
        #expect(Swift.abs(value(informationGain(Tensor([[2, 2], [3, 3], [0, 0]])))) < 1e-12)
        #expect(value(giniImpurity(Tensor([2, 2]))) == 0.5 && value(giniImpurity(Tensor([4, 0]))) == 0)
        #expect(Swift.abs(value(perplexity(of: Tensor([0.25, 0.25, 0.25, 0.25], dtype: .float64))) - 4) < 1e-12)
        #expect(Swift.abs(bitsPerToken(log(8.0)) - 3) < 1e-12 && Swift.abs(bitsPerByte(log(256.0), bytes: 2) - 4) < 1e-12)
    }

    /// Every loss of an example, and its gradient, all examples at once.
    @Test func perExample() {
        let generator = RandomGenerator(seed: 46)
        let x = Tensor(normal: [3, 4, 5], dtype: .float64, generator: generator)
        let labels = Tensor(integers: 0..<5, shape: [3, 4], generator: generator)
        let z = Tensor(uniform: [3, 4, 5], dtype: .float64, generator: generator)
        let weight = Tensor([0.5, 1, 2, 0.25, 3], dtype: .float64)
        let losses: [(String, Tensor, (Tensor, Tensor) -> Tensor)] = [
            ("crossEntropy", labels, { crossEntropy($0, $1) }),
            ("crossEntropy, weighted", labels, { crossEntropy($0, $1, weight: weight, labelSmoothing: 0.1) }),
            ("nllLoss", labels, { nllLoss(logSoftmax($0), $1) }),
            ("binaryCrossEntropy", z, { binaryCrossEntropy(sigmoid($0), $1) }),
            ("gaussianNLLLoss", z, { gaussianNLLLoss($0, $1, variance: exp($0)) }),
            ("multiMarginLoss", labels, { multiMarginLoss($0, $1) }),
            (
                "ctcLoss", labels,
                { x, y in
                    ctcLoss(
                        logSoftmax(x.unsqueezed(1)), maximum(y[0..<2], 1), inputLengths: [4], targetLengths: [2], reduction: .sum,
                        zeroInfinity: true)
                }
            ),
        ]
        for (name, targets, f) in losses {
            let all = vmap(f)(x, targets)
            let slopes = vmap({ x, y in grad(of: { f($0, y) })(x) })(x, targets)
            for i in 0..<3 {
                #expect(all[i].isClose(to: f(x[i], targets[i]), rtol: 1e-12), "\(name)")
                #expect(slopes[i].isClose(to: grad(of: { f($0, targets[i]) })(x[i]), rtol: 1e-10, atol: 1e-12), "\(name)")
            }
        }
    }

    /// A projection and its loss, a few rows at a time, as with all logits at once.
    @Test func lossesOfProjections() {
        let generator = RandomGenerator(seed: 47)
        let x = Tensor(normal: [2, 5, 3], dtype: .float64, generator: generator).asLeaf()
        let w = Tensor(normal: [7, 3], dtype: .float64, generator: generator).asLeaf()
        let b = Tensor(normal: [7], dtype: .float64, generator: generator).asLeaf()
        let labels = Tensor(integers: 0..<7, shape: [2, 5], generator: generator)
        let factors = Tensor(uniform: [7], low: 0.5, high: 2, dtype: .float64, generator: generator)
        for weight in [nil, factors] {
            for reduction in [Reduction.mean, .sum, .none] {
                let whole = crossEntropy(
                    linear(x, w, b), labels, weight: weight, ignoreIndex: 2, labelSmoothing: 0.1, reduction: reduction)
                let chunked = linearCrossEntropy(
                    x, w, labels, bias: b, weight: weight, ignoreIndex: 2, labelSmoothing: 0.1, reduction: reduction,
                    rowsPerChunk: 3)
                #expect(chunked.isClose(to: whole, rtol: 1e-12))
                let a = gradients(of: [whole.sum()], withRespectTo: [x, w, b])
                let c = gradients(of: [chunked.sum()], withRespectTo: [x, w, b])
                for (one, other) in zip(a, c) { #expect(one!.isClose(to: other!, rtol: 1e-10, atol: 1e-13)) }
            }
        }
    }

    @Test func lossesAsModules() {
        let x = Tensor([[0.5, -1, 2]]), y = Tensor([[0.0, 1, 1]])
        #expect(MSELoss()(x, y).isEqual(to: mseLoss(x, y)))
        #expect(BCEWithLogitsLoss(positiveWeight: Tensor([2.0, 1, 1]))(x, y).item(Double.self) > 0)
        let weighted = CrossEntropyLoss(weight: Tensor([1.0, 2, 3]), reduction: .sum)
        #expect(weighted(x, Tensor([2])).isEqual(to: crossEntropy(x, Tensor([2]), weight: Tensor([1.0, 2, 3]), reduction: .sum)))
        #expect(weighted.namedBuffers.map(\.name) == ["weight"])
        let triplet = TripletMarginWithDistanceLoss(distance: { abs($0 - $1).sum(-1) }, margin: 2)
        #expect(triplet(x, y, x).isEqual(to: tripletMarginLoss(x, y, x, margin: 2, p: 1, eps: 0)))
    }

    /// Large logits neither overflow nor lose the loss.
    @Test func stability() {
        let logits = Tensor([[1000.0, 0], [-1000, 0]])
        #expect(crossEntropy(logits, Tensor([0, 0]), reduction: .none).scalars(Float.self) == [0, 1000])
        let binary = bceWithLogits(Tensor([800.0, -800]), Tensor([0.0, 0]), reduction: .none)
        #expect(binary.scalars(Float.self) == [800, 0])
        #expect(softplus(Tensor([500.0, -500])).scalars(Float.self) == [500, 0])
        #expect(logSigmoid(Tensor([500.0, -500])).scalars(Float.self) == [0, -500])
        #expect(Tensor([1000.0, 1000]).logSumExp().item(Float.self) == 1000 + Float(log(2.0)))
    }

    /// The worked numbers of a 2-2-1 network (Tests/Goldens/seed_traces.json).
    @Test func backpropagationByHand() throws {
        let x = Tensor([1.0, 0.5], dtype: .float64)
        let w1 = Tensor([[0.15, 0.2], [0.25, 0.3]], dtype: .float64, requiresGrad: true)
        let b1 = Tensor([0.35, 0.35], dtype: .float64, requiresGrad: true)
        let w2 = Tensor([[0.4, 0.45]], dtype: .float64, requiresGrad: true)
        let b2 = Tensor([0.6], dtype: .float64, requiresGrad: true)
        let z1 = w1 • x + b1
        let a1 = relu(z1)
        let z2 = w2 • a1 + b2
        z1.retainGrad()
        z2.retainGrad()
        let loss = bceWithLogits(z2, Tensor([1.0], dtype: .float64))
        loss.backward()
        func step(_ t: Tensor) -> [Double] { (t.detached() - 0.5 * t.grad!).scalars(Double.self) }
        let found: [String: [Double]] = [
            "bp.z1": z1.scalars(Double.self), "bp.a1": a1.scalars(Double.self), "bp.z2": z2.scalars(Double.self),
            "bp.exp": exp(-z2).scalars(Double.self), "bp.yhat": sigmoid(z2).scalars(Double.self),
            "bp.loss": [loss.item(Double.self)], "bp.delta2": z2.grad!.scalars(Double.self),
            "bp.dW2_1": [w2.grad![0, 0].item(Double.self)], "bp.dW2_2": [w2.grad![0, 1].item(Double.self)],
            "bp.db2": b2.grad!.scalars(Double.self), "bp.delta1_1": [z1.grad![0].item(Double.self)],
            "bp.delta1_2": [z1.grad![1].item(Double.self)], "bp.dW1_11": [w1.grad![0, 0].item(Double.self)],
            "bp.dW1_12": [w1.grad![0, 1].item(Double.self)], "bp.dW1_21": [w1.grad![1, 0].item(Double.self)],
            "bp.dW1_22": [w1.grad![1, 1].item(Double.self)], "bp.all_new": step(w1) + step(b1) + step(w2) + step(b2),
        ]
        try compare(found)
    }

    @Test func softmaxAtTemperatures() throws {
        let logits = Tensor([2.0, 1, 0.5], dtype: .float64)
        var found: [String: [Double]] = [:]
        for (name, temperature) in [("temp.1", 1.0), ("temp.05", 0.5), ("temp.2", 2.0)] {
            found[name] = softmax(logits / temperature).scalars(Double.self)
        }
        try compare(found)
    }

    @Test func softmaxOfLargeAndSmallScores() throws {
        func rows(_ x: [Double]) -> [Double] { softmax(Tensor(x, dtype: .float64)).scalars(Double.self) }
        try compare([
            "softmax.big": rows([-100, 150, -80]), "softmax.scaled": rows([-12.5, 18.75, -10]),
            "softmax.it": rows([0.05, 0.15, 0.3]),
        ])
    }

    /// Ten thousand epochs of the classic XOR network from given weights: every loss on the way, and the
    /// predictions. The source adds 1e-8 inside its logarithms, so its losses are that much lower.
    @Test func exclusiveOrFromGivenWeights() throws {
        let traces = try Goldens.json("seed_traces.json")["traces"] as! [[String: Any]]
        let trace = traces.first { $0["id"] as! String == "xor.predictions" }!
        let given = trace["inputs"] as! [String: Any]
        func tensor(_ name: String) -> Tensor { Tensor(given[name] as! [[Double]], dtype: .float64) }
        let w1 = Parameter(tensor("W1")), b1 = Parameter(tensor("b1")), w2 = Parameter(tensor("W2")), b2 = Parameter(tensor("b2"))
        let x = Tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]], dtype: .float64)
        let y = Tensor([[0.0], [1], [1], [0]], dtype: .float64)
        let optimizer = SGD([w1, b1, w2, b2], learningRate: 0.5)
        func logits() -> Tensor { relu(x • w1.value + b1.value) • w2.value + b2.value }
        let losses = trace["losses_at_epoch"] as! [String: Double]
        for epoch in 0..<10_000 {
            let loss = bceWithLogits(logits(), y)
            if let expected = losses["\(epoch)"] {
                #expect(Swift.abs(loss.item(Double.self) - expected) <= 1e-7 * expected + 1.1e-8, "epoch \(epoch)")
            }
            optimizer.zeroGrad()
            loss.backward()
            optimizer.step()
        }
        let expected = trace["expected"] as! [Double]
        for (a, b) in zip(sigmoid(logits()).scalars(Double.self), expected) { #expect(Swift.abs(a - b) < 1e-6) }
    }

    private func compare(_ found: [String: [Double]]) throws {
        let traces = try Goldens.json("seed_traces.json")["traces"] as! [[String: Any]]
        var checked = 0
        for trace in traces {
            guard let values = found[trace["id"] as! String] else { continue }
            let expected = (trace["expected"] as? [Double]) ?? [trace["expected"] as! Double]
            #expect(values.count == expected.count)
            for (a, b) in zip(values, expected) { #expect(Swift.abs(a - b) <= 1e-12 * max(1, Swift.abs(b)), "\(trace["id"]!)") }
            checked += 1
        }
        #expect(checked == found.count)
    }
}
