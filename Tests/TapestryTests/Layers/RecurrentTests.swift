import ConformanceSuite
import Tapestry
import Testing

@Suite struct RecurrentTests {
    private let generator = RandomGenerator(seed: 51)

    @Test func namesAndStarts() {
        let lstm = LSTM(3, 4, layers: 2, bidirectional: true, projection: 2, generator: generator)
        let names = lstm.namedParameters.map(\.name)
        #expect(names.prefix(5) == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0"])
        #expect(names.contains("weight_hh_l1_reverse") && names.count == 20)
        #expect(lstm.stateDict["weight_ih_l1"]!.shape == [16, 4])
        #expect(lstm.parameters.allSatisfy { abs($0.value).max().item(Double.self) <= 0.5 })
        let model = Sequential(Linear(2, 2, generator: generator), Identity())
        #expect(model.parameters.count == 2)
        let attention = MultiheadAttention(4, heads: 2, addsKeyValueBias: true, generator: generator)
        #expect(
            attention.namedParameters.map(\.name) == [
                "in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "out_proj.weight", "out_proj.bias",
            ])
        let layer = TransformerEncoderLayer(TransformerOptions(model: 4, heads: 2), generator: generator)
        layer.eval()
        #expect(layer.namedModules.allSatisfy { !$0.module.isTraining } && layer.namedModules.count == 10)
    }

    /// Sequences of different lengths in one batch give what each gives alone, gradients included.
    @Test(arguments: [false, true]) func lengthsEqualSeparateRuns(_ bidirectional: Bool) throws {
        let lengths = [3, 5, 1], time = 5
        let x = Tensor(normal: [3, time, 4], dtype: .float64, generator: generator)
        let start = Tensor(normal: [bidirectional ? 4 : 2, 3, 6], dtype: .float64, generator: generator)
        let lstm = LSTM(
            4, 6, layers: 2, batchFirst: true, bidirectional: bidirectional, dtype: .float64, generator: generator)
        let gru = GRU(4, 6, layers: 2, batchFirst: true, bidirectional: bidirectional, dtype: .float64, generator: generator)
        let rnn = RNN(4, 6, layers: 2, batchFirst: true, bidirectional: bidirectional, dtype: .float64, generator: generator)
        typealias Run = (Tensor, Tensor, [Int]?) -> (Tensor, Tensor)
        let runs: [(RecurrentLayer, Run)] = [
            (
                lstm,
                {
                    let (y, state) = lstm($0, state: LSTMState(hidden: $1, cell: $1), lengths: $2)
                    return (y, concatenate([state.hidden, state.cell]))
                }
            ),
            (gru, { gru($0, state: $1, lengths: $2) }), (rnn, { rnn($0, state: $1, lengths: $2) }),
        ]
        for (layer, run) in runs {
            let parameters = layer.parameters.map(\.value)
            let (y, last) = run(x, start, lengths)
            let all = gradients(of: [(y * y).sum() + last.sum()], withRespectTo: parameters)
            var total = Tensor(0.0, dtype: .float64)
            for (i, length) in lengths.enumerated() {
                let (alone, end) = run(x[i...i, 0..<length], start[0..., i...i], nil)
                #expect(mismatch(y[i...i, 0..<length], alone, Tolerance(relative: 1e-12, absolute: 1e-12)) == nil)
                #expect(mismatch(last[0..., i...i], end, Tolerance(relative: 1e-12, absolute: 1e-12)) == nil)
                if length < time { #expect(abs(y[i, length...]).max().item(Double.self) == 0) }
                total = total + (alone * alone).sum() + end.sum()
            }
            let separate = gradients(of: [total], withRespectTo: parameters)
            for (a, b) in zip(all, separate) {
                #expect(mismatch(a!, b!, Tolerance(relative: 1e-9, absolute: 1e-9)) == nil)
            }
        }
    }

    /// The layer in two pieces, the state handed over; a detached state cuts the history.
    @Test func statesContinue() {
        let lstm = LSTM(3, 5, layers: 2, generator: generator)
        let x = Tensor(normal: [6, 2, 3], generator: generator).asLeaf()
        let (whole, last) = lstm(x)
        let (first, state) = lstm(x[0..<4])
        let (second, end) = lstm(x[4...], state: state)
        #expect(concatenate([first, second]).isClose(to: whole, rtol: 1e-5, atol: 1e-6))
        #expect(end.cell.isClose(to: last.cell, rtol: 1e-5, atol: 1e-6))
        lstm(x[4...], state: state.detached()).output.sum().backward()
        #expect(abs(x.grad![0..<4]).max().item(Float.self) == 0 && abs(x.grad![4...]).max().item(Float.self) > 0)
    }

    @Test func cellsAreSteps() {
        let gru = GRU(3, 4, generator: generator), cell = GRUCell(3, 4, generator: generator)
        for (a, b) in zip(cell.parameters, gru.parameters) { a.value = b.value.detached() }
        let x = Tensor(normal: [5, 2, 3], generator: generator)
        var h = Tensor(zeros: [2, 4])
        for t in 0..<5 { h = cell(x[t], state: h) }
        #expect(h.isClose(to: gru(x).state[0], rtol: 1e-5, atol: 1e-6))
    }

    /// The same bits on one thread and on two, in a size that is split.
    @Test func bitsDoNotDependOnThreads() {
        let lstm = LSTM(40, 130, generator: generator)
        let x = Tensor(normal: [7, 20, 40], generator: generator)
        func run(_ threads: Int) -> [[UInt8]] {
            let before = Configuration.threadCount
            Configuration.threadCount = threads
            defer { Configuration.threadCount = before }
            let y = lstm(x).output
            let g = gradients(of: [y.sum()], withRespectTo: lstm.parameters.map(\.value))
            return ([y.detached()] + g.map { $0! }).map { $0.withUnsafeBytes { Array($0) } }
        }
        #expect(run(1) == run(2))
    }

    /// Accuracy in naming, at the end of 16 random signs, the first.
    private func accuracy(_ layer: RecurrentLayer, _ run: (Tensor) -> Tensor, _ head: Linear, steps: Int) -> Double {
        let random = RandomGenerator(seed: 7)
        let optimizer = Adam(layer.parameters + head.parameters, learningRate: 0.01)
        func batch(_ count: Int) -> (Tensor, Tensor) {
            let signs = Tensor(integers: 0..<2, shape: [16, count], generator: random)
            return ((signs.to(.float32) * 2 - 1).unsqueezed(-1), signs[0])
        }
        for _ in 0..<steps {
            let (x, labels) = batch(32)
            optimizer.zeroGrad()
            crossEntropy(head(run(x)), labels).backward()
            optimizer.step()
        }
        let (x, labels) = batch(200)
        return (head(run(x)).argmax(axis: -1) .== labels).to(.float64).mean().item(Double.self)
    }

    @Test func longMemory() {
        let random = RandomGenerator(seed: 3)
        let lstm = LSTM(1, 12, generator: random)
        // Gates that start by remembering (Gers et al., 2000).
        let bias = lstm.directions[0].inputBias!
        bias.value = bias.value.detached() + concatenate([Tensor(zeros: [12]), Tensor(ones: [12]) * 2, Tensor(zeros: [24])])
        let remembered = accuracy(lstm, { lstm($0).output[-1] }, Linear(12, 2, generator: random), steps: 300)
        let rnn = RNN(1, 12, generator: random)
        let forgotten = accuracy(rnn, { rnn($0).output[-1] }, Linear(12, 2, generator: random), steps: 300)
        #expect(remembered > 0.95, "LSTM: \(remembered)")
        #expect(forgotten < 0.75, "RNN: \(forgotten)")
    }
}
