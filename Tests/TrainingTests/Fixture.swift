import Foundation
import Tapestry
import Testing

/// A small training run with everything that has a state.
enum Fixture {
    /// Points of a noisy sine; sample 5 has the given label.
    static func data(poison: Float? = nil) -> TensorDataset {
        let x = Tensor(uniform: [90, 4], low: -1, high: 1, generator: RandomGenerator(seed: 1))
        var y = sin(x.sum(1, keepDims: true) * 2)
        if let poison { y[5, 0] = Tensor(poison) }
        return TensorDataset(x, y)
    }

    final class Net: Module {
        let first: Linear, norm: BatchNorm1d, drop: Dropout, last: Linear
        init(seed: UInt64 = 3) {
            let generator = RandomGenerator(seed: seed)
            first = Linear(4, 16, generator: generator)
            norm = BatchNorm1d(16)
            drop = Dropout(0.1)
            last = Linear(16, 1, generator: generator)
        }
        func callAsFunction(_ x: Tensor) -> Tensor { last(drop(tanh(norm(first(x))))) }
    }

    /// Sends this process a signal and waits for its handler. To the process, not the thread: threads of tasks have signals blocked.
    static func signal(_ code: Int32) {
        kill(getpid(), code)
        usleep(20_000)
    }

    /// Remembers what happened.
    final class Recorder: TrainingCallback {
        var losses: [Double] = [], norms: [Double] = [], events: [String] = []
        var action: ((TrainingEvent, TrainingControl) -> Void)?
        func handle(_ event: TrainingEvent, _ control: TrainingControl) {
            switch event {
            case .step(let report):
                losses.append(report.loss)
                norms.append(report.gradientNorm)
            case .began(let step, _): events.append("began \(step)")
            case .skipped(let step, _): events.append("skipped \(step)")
            case .epoch(let epoch, _, _): events.append("epoch \(epoch)")
            case .validation(let step, _, _, let isBest): events.append("validation \(step)\(isBest ? " best" : "")")
            case .saved(let path, let step): events.append("saved \(path.split(separator: "/").last!) \(step)")
            case .saveFailed(_, let step, _): events.append("failed \(step)")
            case .ended(let summary): events.append("ended \(summary.end)")
            }
            action?(event, control)
        }
    }

    struct Run {
        let trainer: Trainer<(Tensor, Tensor)>
        let net: Net
        let loader: DataLoader<(Tensor, Tensor)>
        let recorder = Recorder()
        var weights: [String: Tensor] { net.stateDict }
    }

    /// A run with everything that has a state: momentum, schedule, dropout, running statistics, averages, accumulation, shuffling, augmentation.
    static func run(_ change: (inout TrainingOptions) -> Void = { _ in }, poison: Float? = nil, workers: Int = 2) -> Run {
        manualSeed(11)
        let net = Net()
        let optimizer = AdamW(net.parameters, learningRate: 1e-2)
        var options = TrainingOptions(epochs: 4)
        options.accumulation = 2
        options.maxGradientNorm = 1
        options.averageDecay = 0.9
        change(&options)
        let trainer = Trainer<(Tensor, Tensor)>(
            net, optimizer, scheduler: LearningRateScheduler(optimizer, .cosine(steps: 40)), options: options
        ) { x, y in (mseLoss(net(x), y), count: y.count) }
        let loader = DataLoader(
            data(poison: poison), batchSize: 8, shuffle: true, seed: 2, workers: workers,
            transform: { ($0.0 + Tensor(normal: [4], standardDeviation: 0.01, generator: $1), $0.1) })
        let run = Run(trainer: trainer, net: net, loader: loader)
        trainer.callbacks = [run.recorder]
        return run
    }
}

/// Whether the same names have the same bits.
func expectSame(
    _ a: [String: Tensor], _ b: [String: Tensor], _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(Set(a.keys) == Set(b.keys), comment, sourceLocation: sourceLocation)
    for (name, tensor) in a {
        #expect(
            b[name].map { $0.isEqual(to: tensor) } == true, "\(name) \(comment.map { "\($0)" } ?? "")",
            sourceLocation: sourceLocation)
    }
}
