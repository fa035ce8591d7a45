import Foundation
import Tapestry

/// Models of recurrent and convolution layers with trained weights, made of the library's layers.
enum RecurrentModelRunners {
    private static let close = Tolerance(relative: 1e-4, absolute: 1e-4)

    private static func numbers(_ any: Any?) throws -> Tensor {
        guard let list = any as? [Any] else { throw GoldenError("no list of numbers") }
        return Tensor(list.map(GoldenFile.number))
    }

    private static func archive(_ name: String, _ file: GoldenFile) throws -> any TensorArchive {
        let path = file.url.deletingLastPathComponent().appendingPathComponent(name).path
        if !FileManager.default.fileExists(atPath: path) { throw Unsupported("a folder without \(name)") }
        return try TensorArchives.open(path)
    }

    /// Sets a direction of a recurrent layer or a cell.
    private static func set(_ layer: Module, _ archive: any TensorArchive, _ names: [String]) throws {
        // Parameters are declared in this order: weights of inputs and of states, then their biases.
        for (parameter, name) in zip(layer.parameters, names) { parameter.value = try archive.tensor(name) }
    }

    private static func suffixed(_ prefix: String, _ suffix: String = "") -> [String] {
        ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map { "\(prefix)\($0)\(suffix)" }
    }

    /// A language model of characters: two LSTMs, attention over positions with one weight vector.
    @Sendable static func characters(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let weights = try archive("model.safetensors", file)
        let first = LSTM(100, 128, batchFirst: true), second = LSTM(128, 128, batchFirst: true)
        try set(first, weights, suffixed("rnn_1.", "_l0"))
        try set(second, weights, suffixed("rnn_2.", "_l0"))
        let ids = try numbers(item["ids"]).to(.int64).unsqueezed(0)
        let (logits, attention) = try withoutGrad {
            let x = embedding(ids, try weights.tensor("embedding.weight"))
            let h = first(x).output
            let all = concatenate([x, h, second(h).output], axis: -1)
            let p = softmax(matmul(all, try weights.tensor("attention.weight").transposed()), axis: 1)
            let mixed = (all * p).sum(1)
            return (linear(mixed, try weights.tensor("output.weight"), try weights.tensor("output.bias"))[0], p.flattened())
        }
        if let wrong = mismatch(attention, try numbers(item["attention"]), close, anyType: true) { return "attention: \(wrong)" }
        return mismatch(logits, try numbers(item["logits"]), close, anyType: true).map { "logits: \($0)" }
    }

    /// Letters to sounds: a GRU reads the word, another says the sounds.
    @Sendable static func sounds(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let weights = try archive("checkpoint20.npz", file)
        guard let source = file.meta["source"] as? [String: Any], let names = source["phonemes"] as? [String] else {
            throw GoldenError("no phonemes")
        }
        let encoder = GRU(256, 256, batchFirst: true), decoder = GRUCell(256, 256)
        try set(encoder, weights, ["enc_w_ih", "enc_w_hh", "enc_b_ih", "enc_b_hh"])
        try set(decoder, weights, ["dec_w_ih", "dec_w_hh", "dec_b_ih", "dec_b_hh"])
        return try withoutGrad {
            let ids = try numbers(item["ids"]).to(.int64).unsqueezed(0)
            var state = encoder(embedding(ids, try weights.tensor("enc_emb"))).state[0]
            if let wrong = mismatch(state[0], try numbers(item["encoder_last"]), close, anyType: true) {
                return "encoder_last: \(wrong)"
            }
            var token = 2, sounds: [String] = []
            for step in 0..<20 {
                state = decoder(embedding(Tensor([token]), try weights.tensor("dec_emb")), state: state)
                let logits = linear(state, try weights.tensor("fc_w"), try weights.tensor("fc_b"))[0]
                if step == 0, item["first_logits"] != nil,
                    let wrong = mismatch(logits, try numbers(item["first_logits"]), close, anyType: true)
                {
                    return "first_logits: \(wrong)"
                }
                token = logits.argmax().item(Int.self)
                if token == 3 { break }
                sounds.append(names[token])
            }
            return sounds == item["phonemes"] as? [String] ? nil : "\(sounds), expected \(item["phonemes"] ?? "")"
        }
    }

    /// Whether there is speech: spectra by a convolution, four convolutions, an LSTM that goes on from chunk to chunk.
    @Sendable static func speech(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let weights = try archive("silero_vad_16k.safetensors", file)
        let cell = LSTMCell(128, 128)
        try set(cell, weights, suffixed("lstm_cell."))
        guard let entry = item["pcm16"] as? [String: Any] else { throw GoldenError("no pcm16") }
        let samples = try file.wideTensor(entry, bits: 16, isSigned: true).to(.float32) / 32768
        func convolved(_ x: Tensor, _ name: String, stride: Int, padding: Int) throws -> Tensor {
            conv1d(
                x, try weights.tensor("\(name).weight"), try weights.tensor("\(name).bias"), stride: SpatialSizes(stride),
                padding: .sizes(SpatialSizes(padding)))
        }
        return try withoutGrad {
            var context = Tensor(zeros: [64]), state: LSTMState?, found: [Double] = []
            let expected = try file.tensor(item["probabilities"])
            for chunk in 0..<expected.count {
                let start = chunk * 512, count = min(512, samples.count - start)
                var piece = samples.narrowed(axis: 0, start: start, length: count)
                if count < 512 { piece = concatenate([piece, Tensor(zeros: [512 - count])]) }
                let x = concatenate([context, piece]).reshaped([1, 1, 576]).padded([0, 64], mode: .reflect)
                context = piece.narrowed(axis: 0, start: 448, length: 64)
                let spectrum = conv1d(x, try weights.tensor("stft_conv.weight"), stride: 128)
                let real = spectrum.narrowed(axis: 1, start: 0, length: 129),
                    imaginary = spectrum.narrowed(axis: 1, start: 129, length: 129)
                var y = sqrt(real * real + imaginary * imaginary)
                for (name, stride) in [("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)] {
                    y = relu(try convolved(y, name, stride: stride, padding: 1))
                }
                let next = cell(y.squeezed(-1), state: state)
                state = next
                let p = sigmoid(try convolved(relu(next.hidden).unsqueezed(-1), "final_conv", stride: 1, padding: 0))
                found.append(p.item(Double.self))
            }
            if let wrong = mismatch(Tensor(found, dtype: .float64), expected, close) { return "probabilities: \(wrong)" }
            if let wrong = mismatch(state!.hidden, try file.tensor(item["final_h"]), close) { return "final_h: \(wrong)" }
            return mismatch(state!.cell, try file.tensor(item["final_c"]), close).map { "final_c: \($0)" }
        }
    }
}
