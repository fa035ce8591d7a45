import CoreTensor
import NN

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Positions as sines and cosines of wavelengths from 2π to 2π · base (Vaswani et al., 2017): added to `[batch, sequence, model]`. The table is
/// a buffer, not trained; a table that is trained is an ``Embedding`` (see ``LearnedPositions``).
public final class SinusoidalPositions: Module, Layer {
    /// `[length, model]`: sin in even features, cos in odd ones.
    public let table: Buffer

    /// Positions `0 ..< length` for `model` features. Traps on sizes below 1.
    public init(length: Int, model: Int, base: Double = 10_000, dtype: DType = .float32) {
        if length < 1 || model < 1 { fail("SinusoidalPositions", "\(length) positions of \(model) features; needs at least 1") }
        var values = [Float](repeating: 0, count: length * model)
        for i in 0..<model {
            let frequency = pow(base, -Double(i / 2 * 2) / Double(model))
            for position in 0..<length {
                let angle = Double(position) * frequency
                values[position * model + i] = Float(i % 2 == 0 ? sin(angle) : cos(angle))
            }
        }
        table = Buffer(Tensor(values, shape: [length, model]).to(dtype))
    }

    /// `x [batch, sequence, model]` plus the positions from 0 on.
    public func callAsFunction(_ x: Tensor) -> Tensor { self(x, start: 0) }

    /// `x [batch, sequence, model]` plus the positions from `start` on. Traps if they go beyond the table.
    public func callAsFunction(_ x: Tensor, start: Int) -> Tensor { x + rows("SinusoidalPositions", table.value, x, start) }
}

/// A trained vector for each position (Gehring et al., 2017), added to `[batch, sequence, model]`.
public final class LearnedPositions: Module, Layer {
    /// `[length, model]`.
    public let table: Parameter

    /// Positions `0 ..< length` for `model` features. Traps on sizes below 1.
    public init(length: Int, model: Int, weights: WeightInitializer = .normal()) {
        if length < 1 || model < 1 { fail("LearnedPositions", "\(length) positions of \(model) features; needs at least 1") }
        table = weights.matrix([length, model])
    }

    /// `x [batch, sequence, model]` plus the positions from 0 on.
    public func callAsFunction(_ x: Tensor) -> Tensor { self(x, start: 0) }

    /// `x [batch, sequence, model]` plus the positions from `start` on. Traps if they go beyond the table.
    public func callAsFunction(_ x: Tensor, start: Int) -> Tensor { x + rows("LearnedPositions", table.value, x, start) }
}

private func rows(_ name: String, _ table: Tensor, _ x: Tensor, _ start: Int) -> Tensor {
    let length = table.shape[0]
    if x.rank != 3 || x.shape[2] != table.shape[1] {
        fail(name, "\(x.shape) does not fit a table \(table.shape): [batch, sequence, model]")
    }
    if start < 0 || start + x.shape[1] > length {
        fail(name, "positions \(start) ..< \(start + x.shape[1]) go beyond the table's \(length); crop the sequence")
    }
    return table.narrowed(axis: 0, start: start, length: x.shape[1])
}
