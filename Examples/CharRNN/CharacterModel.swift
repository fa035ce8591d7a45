import ArgumentParser
import Tapestry

/// The recurrent cells.
enum Cell: String, ExpressibleByArgument, CaseIterable { case lstm, gru, rnn }

/// What a recurrent network of any kind carries from step to step; `cell` in LSTMs only.
struct CharacterState {
    var hidden: Tensor
    var cell: Tensor?
}

/// Guesses each next character: a vector per character, recurrent layers, a product that gives logits.
final class CharacterModel: Module {
    let embedding: Embedding
    let recurrent: RecurrentLayer
    let output: Linear
    /// The state after the last batch, `[layers, streams, hidden]` each. As buffers they go into checkpoints, so that a run that is resumed goes on
    /// with them.
    let hidden, cell: Buffer

    init(_ kind: Cell, vocabulary: Int, width: Int, hidden size: Int, layers: Int, streams: Int, dropout: Double) {
        embedding = Embedding(vocabulary, width)
        recurrent =
            switch kind {
            case .lstm: LSTM(width, size, layers: layers, batchFirst: true, dropout: dropout)
            case .gru: GRU(width, size, layers: layers, batchFirst: true, dropout: dropout)
            case .rnn: RNN(width, size, layers: layers, batchFirst: true, dropout: dropout)
            }
        output = Linear(size, vocabulary)
        hidden = Buffer(Tensor(zeros: [layers, streams, size]))
        cell = Buffer(Tensor(zeros: [layers, streams, size]))
    }

    /// Characters `[batch, time]` give logits `[batch, time, vocabulary]` and the state after them.
    func callAsFunction(_ characters: Tensor, _ state: CharacterState?) -> (logits: Tensor, state: CharacterState) {
        let x = embedding(characters)
        switch recurrent {
        case let lstm as LSTM:
            let (y, next) = lstm(x, state: state.map { LSTMState(hidden: $0.hidden, cell: $0.cell!) })
            return (output(y), CharacterState(hidden: next.hidden, cell: next.cell))
        case let gru as GRU:
            let (y, next) = gru(x, state: state?.hidden)
            return (output(y), CharacterState(hidden: next))
        default:
            let (y, next) = (recurrent as! RNN)(x, state: state?.hidden)
            return (output(y), CharacterState(hidden: next))
        }
    }

    /// The mean loss per character in nats, from the given state, and the state after it.
    func loss(_ batch: StreamBatch, from state: CharacterState?) -> (loss: Tensor, state: CharacterState) {
        let (logits, next) = self(batch.inputs, state)
        return (crossEntropy(logits.reshaped([-1, logits.shape[2]]), batch.targets.flattened()), next)
    }

    /// The loss of a batch of training, which goes on with the state that the batch before it left. Gradients stop there.
    func trainingLoss(_ batch: StreamBatch) -> Tensor {
        let (loss, next) = loss(batch, from: batch.isFirst ? nil : CharacterState(hidden: hidden.value, cell: cell.value))
        hidden.value = next.hidden
        if let memory = next.cell { cell.value = memory }
        return loss
    }

    /// `count` characters after the prompt, each drawn from softmax(logits / temperature), or the likeliest at 0.
    func sample(after prompt: [Int], count: Int, temperature: Double, generator: RandomGenerator) -> [Int] {
        let wasTraining = isTraining
        eval()
        defer { train(wasTraining) }
        return withoutGrad {
            var written: [Int] = []
            var (logits, state) = self(Tensor(prompt, shape: [1, prompt.count]), nil)
            for _ in 0..<count {
                let last = logits[0, logits.shape[1] - 1]
                let next =
                    temperature == 0
                    ? last.argmax(axis: 0) : softmax(last / temperature).multinomial(generator: generator)
                written.append(next.item(Int.self))
                (logits, state) = self(Tensor([written.last!], shape: [1, 1]), state)
            }
            return written
        }
    }
}
